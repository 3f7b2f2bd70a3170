package console

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

//go:embed templates assets
var files embed.FS

var (
	templates = template.Must(template.New("").Funcs(web.Funcs()).Funcs(funcs()).ParseFS(files, "templates/*.html"))
	theme     = web.NewTheme("ops", asset("console.css"), asset("console.js"))
)

func asset(name string) string {
	data, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // the file is embedded
	}
	return string(data)
}

// funcs are the functions of templates beside those of package web: "clock" writes a time without its date, "host",
// "check", "pair" and "region" the addresses of pages, "span" a short time, "program" a program's name on this machine.
func funcs() template.FuncMap {
	return template.FuncMap{
		"clock": func(t time.Time) string { return t.UTC().Format("15:04:05 UTC") },
		"host":  hostPath, "check": checkPath, "pair": pairPath, "region": regionPath,
		"span": mesh.Span, "program": command.ProgramName,
	}
}

// Navigation returns the links of the console's pages, and of those of the operators' site that stand beside them.
func Navigation() []web.Link {
	return []web.Link{
		{Name: "Overview", URL: "/"}, {Name: "Matrix", URL: "/matrix"}, {Name: "Agents", URL: "/agents"},
		{Name: "Catalog", URL: "/catalog"}, {Name: "Maintenance", URL: "/maintenance"}, {Name: "History", URL: "/history"},
		{Name: "Metrics", URL: "/metrics"},
	}
}

// BrandSuffix follows the brand on all pages for operators.
const BrandSuffix = " · operators"

// Theme is the style and script of the console's pages.
func Theme() *web.Theme { return theme }

// request asks for a page: the address with its query, and what is in force at the moment that the page shows.
type request struct {
	*http.Request
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot   // in wall time
	moment   time.Time        // of the past that is shown; zero: the present
	present  *catalog.Catalog // in force at present
}

// newRequest returns a request of the present.
func (s *console) newRequest(r *http.Request) request {
	c, snapshot := s.config.Source.Current()
	return request{Request: r, catalog: c, snapshot: snapshot, present: c}
}

// forPrograms reports whether the request asks for the page's tables alone.
func (r request) forPrograms() bool { return formatOf(r.Request) != "" }

// formatOf returns the format in which a request asks for the page's tables or for a chart; "" for the page itself.
func formatOf(r *http.Request) string {
	if format := r.URL.Query().Get("format"); format != "html" {
		return format
	}
	return ""
}

// view is what a page shows.
type view struct {
	title    string
	template string // its name, and that of its link in the navigation where the page is not one itself
	section  string // the URL of the link of the navigation that the page belongs to
	data     any
	tables   []table     // what the page shows, for programs; ?table= names one
	charts   []web.Chart // the values of those that read them by themselves, with ?format=chart; ?chart= names one
	moment   *momentView
	still    bool      // it shows a moment of the past, and has no event stream
	linksTo  time.Time // the moment that links lead to; zero: the one that is shown
}

// queryMax bounds the query of an address, in bytes: each mark of the 48 hours on a page has it in its link.
const queryMax = 4 << 10

// open makes the view that a request asks for.
func (s *console) open(r *http.Request, p page) (request, view, error) {
	asked := s.newRequest(r)
	if len(r.URL.RawQuery) > queryMax {
		return asked, view{}, web.Errorf(http.StatusRequestURITooLong, "The address is too long.")
	}
	if err := s.showMoment(&asked); err != nil {
		return asked, view{}, err
	}
	v, err := p(s, asked)
	past := !asked.moment.IsZero()
	if err == nil && past && v.moment == nil { // no page shows the past without saying so
		v.moment, err = s.newMomentView(asked, "", "")
	}
	v.still = v.still || past
	return asked, v, err
}

// answer answers with a page, or with its tables where the request names a format.
func (s *console) answer(w http.ResponseWriter, r *http.Request, p page) error {
	asked, v, err := s.open(r, p)
	if err != nil {
		return err
	}
	switch format := formatOf(r); format {
	case "":
		return s.write(w, asked, v, http.StatusOK)
	case formatChart:
		return writeChart(w, r, v.charts)
	default:
		return writeTables(w, r, format, asked.snapshot.At, v.tables)
	}
}

// write answers with a page in the console's layout.
func (s *console) write(w http.ResponseWriter, asked request, v view, status int) error {
	body, err := asked.render(v)
	if err != nil {
		return err
	}
	layout := web.Layout{
		Title: asked.title(v), Description: "The operators' view of " + asked.catalog.Page.Title,
		Brand: asked.catalog.Page.Title + BrandSuffix, Nav: Navigation(), At: asked.snapshot.At, Body: body,
		DownShare: asked.catalog.Rule.DownShare, Theme: theme, Private: true,
	}
	for i := range layout.Nav {
		layout.Nav[i].Current = layout.Nav[i].URL == v.section
	}
	if !v.still {
		layout.Events = eventsPath + "?page=" + url.QueryEscape(asked.URL.RequestURI())
	}
	return layout.Write(w, status)
}

// fail answers with an error that the reader may know as a page: with the moments that can be shown, if it is one that
// cannot. Programs get its text.
func (s *console) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text, ok := web.ClientError(err)
	asked := s.newRequest(r)
	if !ok || asked.forPrograms() {
		web.WriteError(w, r, s.config.Logger, err)
		return
	}
	v := view{title: "Cannot be shown", template: "failed", data: sentences(text), still: true}
	if at := r.URL.Query().Get("at"); at != "" && len(r.URL.RawQuery) <= queryMax {
		if moment, momentErr := s.newMomentView(asked, "", ""); momentErr == nil && moment != nil {
			moment.Text, moment.Failed = at, true
			v.moment = moment
		}
	}
	if writeErr := s.write(w, asked, v, status); writeErr != nil {
		web.WriteError(w, r, s.config.Logger, err)
	}
}

func (r request) title(v view) string { return v.title + " – " + r.catalog.Page.Title }

// render writes the body of a page: its heading and one line about the mesh, the field of a moment where it has one,
// and what the page shows.
func (r request) render(v view) (template.HTML, error) {
	var heading template.HTML
	if name := v.template + " heading"; templates.Lookup(name) != nil {
		var err error
		if heading, err = web.Render(templates, name, v.data); err != nil {
			return "", err
		}
	}
	content, err := web.Render(templates, v.template, v.data)
	if err != nil {
		return "", err
	}
	if v.linksTo.IsZero() {
		v.linksTo = r.moment
	}
	if !v.linksTo.IsZero() {
		content, heading = atMoment(content, v.linksTo), atMoment(heading, v.linksTo)
	}
	sheets, all := r.formats(v)
	return web.Render(templates, "shell", struct {
		Heading           template.HTML
		Agents, Connected int
		Sheets            []web.Link // the page's tables, as CSV
		All               string     // the address of all of them, as JSON
		Moment            *momentView
		Content           template.HTML
	}{heading, len(r.snapshot.Vantages), connectedAgents(r.snapshot), sheets, all, v.moment, content})
}

// formats returns the addresses of the page's tables for programs: each by itself as CSV, and all of them as JSON.
func (r request) formats(v view) (sheets []web.Link, all string) {
	address := func(key, value, format string) string {
		query := r.URL.Query()
		query.Set("format", format)
		if key != "" {
			query.Set(key, value)
		}
		return r.URL.EscapedPath() + "?" + query.Encode()
	}
	switch len(v.tables) {
	case 0:
		return nil, ""
	case 1:
		return []web.Link{{Name: "CSV", URL: address("", "", formatCSV)}}, address("", "", formatJSON)
	}
	for _, t := range v.tables {
		sheets = append(sheets, web.Link{Name: t.name, URL: address("table", t.name, formatCSV)})
	}
	return sheets, address("", "", formatJSON)
}
