package console

import (
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
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

// The addresses of the console's pages.
func hostPath(host string) string             { return "/hosts/" + url.PathEscape(host) }
func checkPath(host, check string) string     { return hostPath(host) + "/checks/" + url.PathEscape(check) }
func regionPath(region string) string         { return "/regions/" + url.PathEscape(region) }
func pairPath(vantage, host, c string) string { return pathOf("/pairs", vantage, host, c) }

func pathOf(first string, parts ...string) string {
	for _, p := range parts {
		first += "/" + url.PathEscape(p)
	}
	return first
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

// request is one question for a page: the address with its query, and what is in force at the moment that is shown.
type request struct {
	*http.Request
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot   // in wall time
	moment   time.Time        // of the past that is shown; zero: the present
	present  *catalog.Catalog // in force at present
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

// page makes the view of one address. An error of web.Errorf is shown to the reader.
type page func(s *console, r request) (view, error)

// pages are the console's own pages by the pattern of their paths.
var pages = map[string]page{
	"/{$}":     overviewPage,
	"/matrix":  matrixPage,
	"/agents":  agentsPage,
	"/catalog": catalogPage,

	"/hosts/{host}":                        hostPage,
	"/hosts/{host}/checks/{check}":         checkPage,
	"/hosts/{host}/checks/{check}/minutes": minutesPage,
	"/hosts/{host}/checks/{check}/year":    yearPage,
	"/pairs/{vantage}/{host}/{check}":      pairPage,
	"/regions/{region}":                    regionPage,
	"/transitions/{sequence}":              transitionPage,
}

// newPages returns the mux of the console's own pages.
func (s *console) newPages() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, p := range pages {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			if found, ok := w.(*foundPage); ok {
				found.page, found.request = p, r
				return
			}
			if err := s.answer(w, r, p); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return mux
}

// foundPage is the writer with which find has the mux look for a page.
type foundPage struct {
	http.ResponseWriter
	page    page
	request *http.Request // as the mux matched it, with the values of wildcards
}

func (f *foundPage) Header() http.Header         { return http.Header{} }
func (f *foundPage) WriteHeader(int)             {}
func (f *foundPage) Write(b []byte) (int, error) { return len(b), nil }

// find returns the page at an address and the request for it; a nil page if the console has none there.
func (s *console) find(r *http.Request, address *url.URL) (page, *http.Request) {
	asked := r.Clone(r.Context())
	asked.Method, asked.URL, asked.RequestURI, asked.Form = http.MethodGet, address, address.RequestURI(), nil
	found := &foundPage{}
	s.pages.ServeHTTP(found, asked)
	return found.page, found.request
}

// orSite serves the console's own pages, and the site for all other addresses. A path that ends in .csv or .json is
// that of the page without it, in this format.
func (s *console) orSite(site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address := withFormat(r.URL); address != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			if p, asked := s.find(r, address); p != nil && !namesCheck(s, r) {
				if err := s.answer(w, asked, p); err != nil {
					s.fail(w, asked, err)
				}
				return
			}
		}
		if _, pattern := s.pages.Handler(r); pattern != "" {
			s.pages.ServeHTTP(w, r)
			return
		}
		site.ServeHTTP(w, r)
	})
}

// withFormat returns the address without the format at its end, which is in its query instead; nil if it has none.
func withFormat(of *url.URL) *url.URL {
	extension := path.Ext(of.Path)
	format := strings.TrimPrefix(extension, ".")
	if format != formatCSV && format != formatJSON {
		return nil
	}
	address := *of
	address.Path = strings.TrimSuffix(of.Path, extension)
	address.RawPath = strings.TrimSuffix(of.RawPath, extension) // it has the slashes in names
	query := address.Query()
	query.Set("format", format)
	address.RawQuery = query.Encode()
	return &address
}

// namesCheck reports whether a path names a check to its end: one may be called dump.json.
func namesCheck(s *console, r *http.Request) bool {
	p, asked := s.find(r, r.URL)
	if p == nil {
		return false
	}
	named := request{Request: asked}
	named.catalog, named.snapshot = s.config.Source.Current()
	named.present = named.catalog
	_, c, err := named.hostAndCheck()
	return err == nil && c.Name == asked.PathValue("check")
}

// queryMax bounds the query of an address, in bytes: each mark of the 48 hours on a page has it in its link.
const queryMax = 4 << 10

// open makes the view that a request asks for.
func (s *console) open(r *http.Request, p page) (request, view, error) {
	c, snapshot := s.config.Source.Current()
	asked := request{Request: r, catalog: c, snapshot: snapshot, present: c}
	if len(r.URL.RawQuery) > queryMax {
		return asked, view{}, web.Errorf(http.StatusRequestURITooLong, "The address is too long.")
	}
	past, err := s.past(&asked)
	if err != nil {
		return asked, view{}, err
	}
	v, err := p(s, asked)
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
	asked := request{Request: r}
	asked.catalog, asked.snapshot = s.config.Source.Current()
	if asked.present = asked.catalog; !ok || asked.forPrograms() {
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

// events streams the body of the page whose address is in ?page= after every change.
func (s *console) events(w http.ResponseWriter, r *http.Request) error {
	address, err := url.ParseRequestURI(r.URL.Query().Get("page"))
	if err != nil || address.IsAbs() || address.Host != "" {
		return web.Errorf(http.StatusNotFound, "no page %q", r.URL.Query().Get("page"))
	}
	p, asked := s.find(r, address)
	if p == nil {
		return web.Errorf(http.StatusNotFound, "no page %q", address.Path)
	}
	// Pages of the past, of charts and of tables open no stream: each change would have them read and replayed again.
	fixed := address.Query().Get("at") != "" || formatOf(asked) != ""
	if !fixed {
		_, v, err := s.open(asked, p)
		if err != nil {
			return err
		}
		fixed = v.still
	}
	if fixed {
		return web.Errorf(http.StatusNotFound, "the page %q does not update by itself", address.Path)
	}
	update := func(send web.SendFunc) error {
		opened, v, err := s.open(asked, p)
		if err != nil {
			return err
		}
		body, err := opened.render(v)
		if err != nil {
			return err
		}
		if err := send("page", string(body)); err != nil {
			return err
		}
		status, err := json.Marshal(struct {
			Title string `json:"title"`
		}{opened.title(v)})
		if err != nil {
			return err
		}
		return send("status", string(status))
	}
	at := func() time.Time { _, snapshot := s.config.Source.Current(); return snapshot.At }
	return s.streams.Serve(w, r, web.Feed{Changed: s.config.Source.Changed, Update: update, At: at})
}
