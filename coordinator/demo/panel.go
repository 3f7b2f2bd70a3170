package demo

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/coordinator/page"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(page.Funcs()).ParseFS(files, "templates/*.html"))

// Where the panel is served on the public address, and its title.
const (
	panelPath  = "/demo/"
	panelTitle = "Break something"
)

const (
	bodyMax      = 4 << 10 // bytes of a form or of a fault in JSON
	listenersMax = 100     // event streams, of one client and of all together
)

// panel serves /demo/: what is broken, what can be broken, and the votes as they arrive.
type panel struct {
	demo    *Demo
	source  node.Source
	streams *page.Streams
}

func newPanel(d *Demo, source node.Source) http.Handler {
	p := &panel{d, source, page.NewStreams(page.StreamsConfig{Most: listenersMax, Each: listenersMax})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo/{$}", p.page)
	mux.HandleFunc("GET /demo/events", p.events)
	mux.HandleFunc("POST /demo/break", p.breakForm)
	mux.HandleFunc("POST /demo/mend", p.mendForm)
	mux.HandleFunc("GET /demo/faults", p.list)
	mux.HandleFunc("POST /demo/faults", p.create)
	mux.HandleFunc("DELETE /demo/faults", p.remove)
	mux.HandleFunc("DELETE /demo/faults/{id}", p.remove)
	return http.NewCrossOriginProtection().Handler(mux)
}

// list answers with the faults in JSON.
func (p *panel) list(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, append([]Fault{}, p.demo.Faults()...))
}

// create adds the fault in the body, which is JSON, and answers with its id.
func (p *panel) create(w http.ResponseWriter, r *http.Request) {
	var f Fault
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		const example = `{"fault": "service", "host": "NC036", "check": "Sending mail"}`
		http.Error(w, "write a fault as in "+example+": "+err.Error(), http.StatusBadRequest)
		return
	}
	id, err := p.demo.Break(f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Location", "/demo/faults/"+id)
	writeJSON(w, http.StatusCreated, map[string]string{"id": id})
}

// remove mends the fault in the path, or all.
func (p *panel) remove(w http.ResponseWriter, r *http.Request) {
	switch err := p.demo.Mend(r.PathValue("id")); {
	case errors.Is(err, errNoFault):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client has gone
}

// breakForm is create for the page's buttons, which post forms.
func (p *panel) breakForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	loss, _ := strconv.ParseFloat(r.PostFormValue("loss"), 64) // Break refuses zero where a loss is needed
	f := Fault{
		Fault: r.PostFormValue("fault"), Host: r.PostFormValue("host"), Check: r.PostFormValue("check"),
		Region: r.PostFormValue("region"), Loss: loss,
	}
	if _, err := p.demo.Break(f); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, "/demo/", http.StatusSeeOther)
}

// mendForm is remove for the page's buttons. A fault that somebody else mended first is no error to a visitor.
func (p *panel) mendForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	if err := p.demo.Mend(r.PostFormValue("id")); err != nil && !errors.Is(err, errNoFault) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/demo/", http.StatusSeeOther)
}

func (p *panel) page(w http.ResponseWriter, _ *http.Request) {
	c, snapshot := p.source.Current()
	body, err := p.body()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = page.Sheet{
		Title: panelTitle + " – " + c.Page.Title, Description: "Break and mend the demonstration",
		Brand: c.Page.Title,
		Nav:   []page.Link{{Name: "Status page", URL: "/"}, {Name: "Matrix", URL: "/matrix"}},
		Live:  "/demo/events", At: snapshot.At, Body: body,
	}.Write(w, http.StatusOK) // only a reader that went away fails it
}

// events streams the panel, rendered again whenever the mesh changes.
func (p *panel) events(w http.ResponseWriter, r *http.Request) {
	p.streams.Listen(w, r, p.source.Changed, func(send func(kind, data string) error) error {
		body, err := p.body()
		if err != nil {
			return err
		}
		if err := send("page", string(body)); err != nil {
			return err
		}
		_, snapshot := p.source.Current()
		at := snapshot.At.UTC().Format(time.RFC3339Nano)
		return send("status", fmt.Sprintf(`{"at":%q,"title":%q}`, at, panelTitle))
	})
}

// view is the data of the panel's template.
type view struct {
	Faults  []Fault
	Checks  []checkView // those with a verdict other than up, or with votes against it
	Hosts   []hostView
	Regions []regionView
	Reduced string
}

type checkView struct {
	Host, Check, Sentence, Class, Shape, Verdict string
	Looking                                      bool
	Votes                                        []voteView
}

type voteView struct{ City, Class, Shape, Why string }

type hostView struct {
	Name, Role, City, Class, Shape string
	Services                       []string
}

type regionView struct{ Name, City string }

// body renders the panel without the layout around it.
func (p *panel) body() (template.HTML, error) {
	c, snapshot := p.source.Current()
	v := view{Faults: p.demo.Faults(), Reduced: p.demo.reduced}
	for _, h := range snapshot.Hosts {
		config := c.Host(mesh.Key(h.Name))
		if config == nil {
			continue
		}
		class, shape := page.StatusLook(h.Status)
		host := hostView{Name: h.Name, Role: config.Role, City: city(c, h.Region), Class: class, Shape: shape}
		for _, check := range h.Checks {
			if check.Kind != catalog.KindPing {
				host.Services = append(host.Services, check.Name)
			}
			if check.Looking || check.Verdict != mesh.Up || check.Tally.Bad > 0 {
				v.Checks = append(v.Checks, newCheckView(c, h, check))
			}
		}
		v.Hosts = append(v.Hosts, host)
	}
	for _, r := range c.Regions {
		v.Regions = append(v.Regions, regionView{r.Name, r.City})
	}
	return page.Render(templates, "panel", v)
}

// newCheckView shows no more of a check than the public status page does, since that is served beside the panel.
func newCheckView(c *catalog.Catalog, h mesh.HostState, check mesh.CheckState) checkView {
	check = page.PublicCheck(check)
	class, shape := page.VerdictLook(check.Verdict)
	f := checkView{
		Host: h.Name, Check: check.Name, Sentence: check.Sentence, Class: class, Shape: shape,
		Verdict: string(check.Verdict), Looking: check.Looking,
	}
	for _, v := range check.Votes {
		if v.Own {
			continue
		}
		class, shape := page.VoteLook(v.Vote)
		vote := voteView{City: city(c, v.Region), Class: class, Shape: shape}
		if v.Why != "" {
			vote.Why = "it " + v.Why
		}
		f.Votes = append(f.Votes, vote)
	}
	return f
}

// city is the region's city, or its name if the catalog does not have it.
func city(c *catalog.Catalog, region string) string {
	i := slices.IndexFunc(c.Regions, func(r catalog.Region) bool { return strings.EqualFold(r.Name, region) })
	if i < 0 {
		return region
	}
	return c.Regions[i].City
}
