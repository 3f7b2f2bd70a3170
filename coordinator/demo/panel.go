package demo

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(web.Funcs()).ParseFS(files, "templates/*.html"))

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
	streams *web.Streams
}

func newPanel(d *Demo, source node.Source) http.Handler {
	p := &panel{d, source, web.NewStreams(web.StreamsConfig{Max: listenersMax, PerClient: listenersMax})}
	mux := web.NewMux(d.config.Logger,
		web.Route{Pattern: "GET /demo/{$}", Handler: p.page},
		web.Route{Pattern: "GET /demo/events", Handler: p.events},
		web.Route{Pattern: "POST /demo/break", Handler: p.breakForm},
		web.Route{Pattern: "POST /demo/mend", Handler: p.mendForm},
		web.Route{Pattern: "GET /demo/faults", Handler: p.list},
		web.Route{Pattern: "POST /demo/faults", Handler: p.create},
		web.Route{Pattern: "DELETE /demo/faults", Handler: p.remove},
		web.Route{Pattern: "DELETE /demo/faults/{id}", Handler: p.remove},
	)
	return namedAsReached(http.NewCrossOriginProtection().Handler(mux), d.config.Logger)
}

// namedAsReached checks the Host header of requests that come over loopback, as web.LocalOnly does: only programs of
// this machine and its people's browsers send those. A demonstration on another address has any name.
func namedAsReached(next http.Handler, log zerolog.Logger) http.Handler {
	local := web.LocalOnly(next, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if tcp, ok := address.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			next.ServeHTTP(w, r)
			return
		}
		local.ServeHTTP(w, r)
	})
}

// list answers with the faults in JSON.
func (p *panel) list(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, append([]Fault{}, p.demo.Faults()...))
}

// create adds the fault in the body, which is JSON, and answers with its id.
func (p *panel) create(w http.ResponseWriter, r *http.Request) error {
	var f Fault
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		const example = `{"fault": "service", "host": "NC036", "check": "Sending mail"}`
		return web.Errorf(http.StatusBadRequest, "write a fault as in %s: %v", example, err)
	}
	id, err := p.demo.Break(f)
	if err != nil {
		return web.Errorf(http.StatusBadRequest, "%v", err)
	}
	w.Header().Set("Location", "/demo/faults/"+id)
	return web.WriteJSON(w, http.StatusCreated, map[string]string{"id": id})
}

// remove mends the fault in the path, or all.
func (p *panel) remove(w http.ResponseWriter, r *http.Request) error {
	err := p.demo.Mend(r.PathValue("id"))
	if errors.Is(err, errNoFault) {
		return web.Errorf(http.StatusNotFound, "%v", err)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// breakForm is create for the page's buttons, which post forms.
func (p *panel) breakForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	loss, _ := strconv.ParseFloat(r.PostFormValue("loss"), 64) // Break refuses zero where a loss is needed
	f := Fault{
		Fault: r.PostFormValue("fault"), Host: r.PostFormValue("host"), Check: r.PostFormValue("check"),
		Region: r.PostFormValue("region"), Loss: loss,
	}
	if _, err := p.demo.Break(f); err != nil {
		return web.Errorf(http.StatusBadRequest, "%v", err)
	}
	http.Redirect(w, r, "/demo/", http.StatusSeeOther)
	return nil
}

// mendForm is remove for the page's buttons. A fault that somebody else mended first is no error to a visitor.
func (p *panel) mendForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	if err := p.demo.Mend(r.PostFormValue("id")); err != nil && !errors.Is(err, errNoFault) {
		return err
	}
	http.Redirect(w, r, "/demo/", http.StatusSeeOther)
	return nil
}

func (p *panel) page(w http.ResponseWriter, _ *http.Request) error {
	c, snapshot := p.source.Current()
	body, err := p.body()
	if err != nil {
		return err
	}
	return web.Layout{
		Title: panelTitle + " – " + c.Page.Title, Description: "Break and mend the demonstration",
		Brand:  c.Page.Title,
		Nav:    []web.Link{{Name: "Status page", URL: "/"}, {Name: "Matrix", URL: "/matrix"}},
		Events: "/demo/events", At: snapshot.At, Body: body, DownShare: c.Rule.DownShare,
	}.Write(w, http.StatusOK)
}

// events streams the panel, rendered again whenever the mesh changes.
func (p *panel) events(w http.ResponseWriter, r *http.Request) error {
	update := func(send web.SendFunc) error {
		body, err := p.body()
		if err != nil {
			return err
		}
		if err := send("page", string(body)); err != nil {
			return err
		}
		return send("status", fmt.Sprintf(`{"title":%q}`, panelTitle))
	}
	at := func() time.Time { _, snapshot := p.source.Current(); return snapshot.At }
	return p.streams.Serve(w, r, web.Feed{Changed: p.source.Changed, Update: update, At: at})
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
	web.Look
	Host, Check, Sentence, Verdict string
	Looking                        bool
	Votes                          []voteView
}

type voteView struct {
	web.Look
	City, Why string
}

type hostView struct {
	web.Look
	Name, Role, City string
	Services         []string
	Answers          []answerFault
}

// answerFault is a fault of a service that answers otherwise, as a button.
type answerFault struct{ Fault, Check, Label string }

// answerLabels name the buttons, in their order.
var answerLabels = []answerFault{
	{Fault: faultExpire, Label: "Expire the certificate of"}, {Fault: faultStale, Label: "Keep an old zone for"},
	{Fault: faultGreylist, Label: "Greylist"}, {Fault: faultRefuse, Label: "Refuse logins to"},
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
		host := hostView{Look: web.StatusLook(h.Status), Name: h.Name, Role: config.Role, City: city(c, h.Region)}
		for _, check := range h.Checks {
			if check.Kind != catalog.KindPing {
				host.Services = append(host.Services, check.Name)
			}
			host.Answers = append(host.Answers, answersOf(config.Check(check.Name))...)
			if check.RoundOpen || check.Verdict != mesh.Up || check.Tally.Bad > 0 {
				v.Checks = append(v.Checks, newCheckView(c, h, check))
			}
		}
		v.Hosts = append(v.Hosts, host)
	}
	for _, r := range c.Regions {
		v.Regions = append(v.Regions, regionView{r.Name, r.City})
	}
	return web.Render(templates, "panel", v)
}

// answersOf lists the faults that a check notices of its service.
func answersOf(check *catalog.Check) (out []answerFault) {
	for _, f := range answerLabels {
		if check != nil && suits(f.Fault, check) {
			out = append(out, answerFault{f.Fault, check.Name, f.Label + " " + check.Name})
		}
	}
	return out
}

// newCheckView shows no more of a check than the public status page does, since that is served beside the panel.
func newCheckView(c *catalog.Catalog, h mesh.HostState, check mesh.CheckState) checkView {
	check = web.PublicCheck(check)
	f := checkView{
		Look: web.VerdictLook(check.Verdict), Host: h.Name, Check: check.Name, Sentence: check.Sentence,
		Verdict: string(check.Verdict), Looking: check.RoundOpen,
	}
	for _, v := range check.Votes {
		if v.Own {
			continue
		}
		vote := voteView{Look: web.VoteLook(v.Vote), City: city(c, v.Region)}
		if v.Why != "" {
			vote.Why = "it " + v.Why
		}
		f.Votes = append(f.Votes, vote)
	}
	return f
}

// city is the region's city, or its name if the catalog does not have it.
func city(c *catalog.Catalog, region string) string {
	if r := c.Region(region); r != nil {
		return r.City
	}
	return region
}
