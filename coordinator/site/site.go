// Package site is the public status page as HTML: all systems at a glance, each host with its history, each incident,
// the matrix, and badges. It is complete without JavaScript; with it, pages update by themselves.
package site

import (
	"cmp"
	"context"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

//go:embed templates assets
var files embed.FS

var templates = template.Must(template.New("").Funcs(web.Funcs()).ParseFS(files, "templates/*.html"))

// detailStyle is what all pages but the front page need besides.
var detailStyle = readStyle("assets/detail.css")

func readStyle(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is embedded
	}
	return string(data)
}

// Config is what a Site needs.
type Config struct {
	View  *web.View
	Links []web.Link // in the navigation, after those of the catalog
	// Nav replaces the whole navigation, Theme the style, and BrandSuffix follows the brand, for pages that stand beside
	// others.
	Nav         []web.Link
	Theme       *web.Theme
	BrandSuffix string
}

// Site renders the pages of one audience.
type Site struct {
	view   *web.View
	config Config
	detail *web.Theme // of all pages but the front page
	cache  web.RenderCache
	ready  *web.Answers
	past   measurer
}

// New returns a Site.
func New(c Config) *Site {
	return &Site{view: c.View, config: c, detail: c.Theme.With(detailStyle), ready: web.NewAnswers(c.View)}
}

// Routes lists every address of the site. A test visits all of them and looks for text that the public must not read.
func (s *Site) Routes() []web.Route {
	page, archive := s.ready.Ready(pageKey, s.page), archivePages{s}
	return slices.Concat(archive.routes(), web.FileRoutes(), []web.Route{
		{Pattern: "GET /{$}", Handler: archive.orMoved(page)},
		{Pattern: "GET /hosts/{host}", Handler: page},
		{Pattern: "GET /hosts/{host}/checks/{check}", Handler: page},
		{Pattern: "GET /incidents/{id}", Handler: page},
		{Pattern: "GET /maintenance", Handler: page},
		{Pattern: "GET /maintenance/{id}", Handler: page},
		{Pattern: "GET /maintenance.ics", Handler: s.ready.Ready(web.ByPath, s.calendar)},
		{Pattern: "GET /matrix", Handler: page},
		{Pattern: "GET " + rulePath, Handler: page},
		{Pattern: "GET /badge.svg", Handler: s.ready.Ready(web.ByPath, s.pageBadge)},
		{Pattern: "GET /badge/{file}", Handler: s.ready.Ready(hostBadgeKey, s.hostBadge)},
		{Pattern: "GET /badge/{host}/{file}", Handler: s.ready.Ready(checkBadgeKey, s.checkBadge)},
		web.Widget(),
		{Pattern: "GET /healthz", Handler: healthz},
		{Pattern: "GET /readyz", Handler: s.readyz},
		{Pattern: "GET /", Handler: archive.orMoved(s.page)}, // all other paths: "page not found"
	})
}

const (
	changesShown = 20  // on the front page
	changesMax   = 500 // read from the ledger for a page
	incidentsMax = 50  // on the front page
	daysShown    = 7   // of past incidents and of changes, on the front page
)

// page answers with the page at the request's path. Pages are found by path, not by route, because event streams ask
// for their bodies by path too.
func (s *Site) page(w http.ResponseWriter, r *http.Request) error {
	state := s.view.State()
	if name, ok := strings.CutPrefix(r.URL.Path, hostsPrefix); ok {
		if to := presentPath(state, name); to != "" {
			redirect(w, r, to)
			return nil
		}
	}
	description, title := describe(state, r.URL.Path), pageTitle(state, r.URL.Path)
	if id, ok := strings.CutPrefix(r.URL.Path, incidentsPrefix); ok {
		i, err := s.view.Incident(r.Context(), id)
		if err != nil {
			return err
		}
		if i != nil {
			description, title = describeIncident(state, i), state.InClientsWords(i).Name()
		}
		if i != nil && i.Merged != "" { // for good: nobody divides them again
			http.Redirect(w, r, incidentsPrefix+i.Merged, http.StatusMovedPermanently)
			return nil
		}
	}
	if id, ok := strings.CutPrefix(r.URL.Path, maintenancePrefix); ok {
		var err error
		if title, err = s.maintenanceTitle(r.Context(), state, id); err != nil {
			return err
		}
	}
	body, found, err := s.Body(r.Context(), state, r.URL.Path)
	if err != nil {
		return err
	}
	layout, err := s.layout(r.Context(), state, body, orNotFound(title, found))
	if err != nil {
		return err
	}
	if r.URL.Path == "/" {
		layout.Theme = cmp.Or(s.config.Theme, web.FrontTheme())
	}
	if description != "" {
		layout.Description = description
	}
	if !found { // without events: the page would only reload the same text
		return layout.Write(w, http.StatusNotFound)
	}
	layout.Events = web.EventsPath + "?page=" + template.URLQueryEscaper(r.URL.Path)
	return layout.Write(w, http.StatusOK)
}

// redirect leads to the present address of something that was renamed. It is found there and has not moved for ever:
// another one may get the name.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusFound)
}

// layout returns the layout of a page with a title; "" is that of the front page, which begins with the status.
func (s *Site) layout(
	ctx context.Context, state web.State, body template.HTML, title string,
) (out web.Layout, err error) {
	open, err := s.view.Open(ctx)
	if err != nil {
		return out, err
	}
	overall, own := state.Overall(open), title != ""
	if !own {
		title = state.Title(overall)
	} else {
		title += " – " + state.Catalog.Page.Title
	}
	nav := []web.Link{
		{Name: "Maintenance", URL: "/maintenance"}, {Name: "History", URL: "/history"}, {Name: "Matrix", URL: "/matrix"},
	}
	for _, l := range state.Catalog.Page.Links {
		nav = append(nav, web.Link{Name: l.Name, URL: l.URL})
	}
	nav = append(nav, s.config.Links...)
	if s.config.Nav != nil {
		nav = s.config.Nav
	}
	return web.Layout{
		Theme: s.detail, Title: title, Titled: own,
		Description: overall.Headline + ". " + overall.Detail, Brand: state.Catalog.Page.Title + s.config.BrandSuffix,
		Nav: nav, Class: web.StatusLook(overall.Status).Class, At: state.Snapshot.At, Body: body,
		Accent: state.Catalog.Page.Accent, Logo: state.Catalog.Page.Logo,
		DownShare: state.Catalog.Rule.DownShare, Feeds: web.Feeds(state.Catalog.Page.Title, ""),
	}, nil
}

// Body returns the body of the page at a path, rendered once for everybody who looks at the same snapshot. If found is
// false, it is that of "page not found".
func (s *Site) Body(ctx context.Context, state web.State, path string) (body template.HTML, found bool, err error) {
	path = canonical(path)
	text, found, err := s.cache.Render(ctx, state, path, func(ctx context.Context) (string, bool, error) {
		body, found, err := s.render(ctx, state, path)
		return string(body), found, err
	})
	return template.HTML(text), found, err
}

// canonical returns the path of a page by which it is kept: one page however the names of its host and check are spelt.
func canonical(path string) string {
	name, ok := strings.CutPrefix(path, hostsPrefix)
	if !ok {
		return path
	}
	if host, check, ok := strings.Cut(name, checksPart); ok {
		return hostsPrefix + mesh.Key(host) + checksPart + slug(check)
	}
	return hostsPrefix + mesh.Key(name)
}

// pageKey is the key of pages. No page depends on a query.
func pageKey(r *http.Request) (string, bool) { return canonical(r.URL.Path), true }

// The paths below which each host and each incident has its page.
const (
	hostsPrefix     = "/hosts/"
	incidentsPrefix = "/incidents/"
	checksPart      = "/checks/" // between the names of a host and of a check
)

// render renders the body of the page at a path.
func (s *Site) render(ctx context.Context, state web.State, path string) (body template.HTML, found bool, err error) {
	host, isHost := strings.CutPrefix(path, hostsPrefix)
	host, check, isCheck := strings.Cut(host, checksPart)
	id, isIncident := strings.CutPrefix(path, incidentsPrefix)
	planned, isMaintenance := strings.CutPrefix(path, maintenancePrefix)
	found = true
	switch {
	case path == "/":
		body, err = s.renderIndex(ctx, state)
	case path == "/matrix":
		body, err = s.renderMatrix(ctx, state)
	case path == rulePath:
		body, err = web.Render(templates, "rule", newRuleView(state))
	case path == "/maintenance":
		body, err = s.renderMaintenances(ctx, state)
	case isMaintenance:
		body, found, err = s.renderMaintenance(ctx, state, planned)
	case isHost && isCheck:
		body, found, err = s.renderCheck(ctx, state, host, check)
	case isHost:
		body, found, err = s.renderHost(ctx, state, host)
	case isIncident:
		body, found, err = s.renderIncident(ctx, state, id)
	default:
		found = false
	}
	if err == nil && !found {
		body, err = web.Render(templates, "missing", nil)
	}
	return body, found, err
}

func (s *Site) renderIndex(ctx context.Context, state web.State) (template.HTML, error) {
	changes, err := s.view.Transitions(ctx, "", time.Now().AddDate(0, 0, -daysShown), changesMax)
	if err != nil {
		return "", err
	}
	incidents, err := s.view.Incidents(ctx, state.Snapshot.At.AddDate(0, 0, -daysShown), incidentsMax)
	if err != nil {
		return "", err
	}
	gaps, err := s.view.Gaps(ctx)
	if err != nil {
		return "", err
	}
	posts, err := s.newsOfDays(ctx, time.Now().AddDate(0, 0, -daysShown))
	if err != nil {
		return "", err
	}
	past, err := s.past.of(ctx, s.view, state)
	if err != nil {
		return "", err
	}
	v := newIndexView(state, changes, incidents)
	for g := range v.Groups {
		for i := range v.Groups[g].Hosts {
			v.Groups[g].Hosts[i].measure(past)
		}
	}
	planned, err := s.maintenances(ctx, state)
	if err != nil {
		return "", err
	}
	v.Coming = coming(state, planned, "")
	v.Incidents, v.Past = openIncidents(state, incidents), pastIncidents(state, incidents, gaps)
	addPosts(state, v.Past, posts)
	v.Past = mergeQuiet(sinceMeasured(v.Past, past.began()))
	return web.Render(templates, "index", v)
}

// healthz reports that the process answers.
func healthz(w http.ResponseWriter, _ *http.Request) error {
	web.WriteText(w, http.StatusOK, "ok\n")
	return nil
}

// readyz reports whether agents can connect.
func (s *Site) readyz(w http.ResponseWriter, _ *http.Request) error {
	if !s.view.Ready() {
		return web.Errorf(http.StatusServiceUnavailable, "not ready")
	}
	web.WriteText(w, http.StatusOK, "ready\n")
	return nil
}
