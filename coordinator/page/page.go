// Package page is the public site: systems at a glance, each host with its history, the matrix, and the same as an API. It is
// made from immutable values and complete without JavaScript; with it, it updates by itself.
package page

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Source is what the page shows.
type Source interface {
	// Current is the catalog in force and what the judge holds, as immutable values.
	Current() (*catalog.Catalog, *mesh.Snapshot)
	// Changed closes when Current has something newer.
	Changed() <-chan struct{}
	// Transitions lists the newest transitions since the time, oldest first, of a host's key or of all hosts ("").
	Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error)
	// Incidents lists the incidents that were not resolved before the time, newest first.
	Incidents(ctx context.Context, since time.Time, limit int) ([]*incident.Incident, error)
	// Incident is the one with the id; nil when there is none.
	Incident(ctx context.Context, id string) (*incident.Incident, error)
	// Ready reports whether agents may come.
	Ready() bool
}

// Audience is who looks: the public sees public hosts and regions, operators see every host and vantage.
type Audience int

// The audiences.
const (
	Public Audience = iota
	Operators
)

// Config is what the site needs.
type Config struct {
	Source   Source
	Audience Audience
	Links    []Link        // beside the catalog's own
	Streams  StreamsConfig // bounds of the streams of events
	Logger   zerolog.Logger
}

type site struct {
	view    *audienceView // all that handlers know of the Source
	links   []Link
	logger  zerolog.Logger
	readers *readers
	streams *Streams
	made    made
}

// route is an address of the site: a pattern of http.ServeMux and its handler.
type route struct {
	pattern string
	handler http.HandlerFunc
}

const eventsPath = "/api/v1/events"

// New is the site's handler.
func New(c Config) http.Handler {
	s := newSite(c)
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, r.handler)
	}
	return s.readers.limit(mux)
}

func newSite(c Config) *site {
	return &site{
		view: &audienceView{source: c.Source, audience: c.Audience}, links: c.Links, logger: c.Logger,
		readers: newReaders(),
		streams: NewStreams(c.Streams),
	}
}

// routes are all addresses of the site. A test walks every one of them in search of text that is not for the public.
func (s *site) routes() []route {
	return append(s.statuspage(),
		route{"GET /{$}", s.index},
		route{"GET /hosts/{host}", s.host},
		route{"GET /incidents/{id}", s.index},
		route{"GET /matrix", s.matrix},
		route{"GET /badge/{file}", s.badge},
		route{"GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }},
		route{"GET /readyz", s.readyz},
		route{"GET /api/v1/matrix", s.apiMatrix},
		route{"GET /api/v1/transitions", s.apiTransitions},
		route{"GET /api/v1/hosts/{host}/votes", s.apiVotes},
		route{"GET " + eventsPath, s.events},
		route{"GET /", s.missing},
	)
}

func (s *site) moment() moment { return s.view.moment() }

const (
	week       = 7 * 24 * time.Hour
	eventsMax  = 30  // on a page
	historyMax = 500 // transitions one answer holds
)

func (s *site) index(w http.ResponseWriter, r *http.Request) { s.page(w, r, http.StatusOK) }
func (s *site) host(w http.ResponseWriter, r *http.Request)  { s.page(w, r, http.StatusOK) }
func (s *site) matrix(w http.ResponseWriter, r *http.Request) {
	s.page(w, r, http.StatusOK)
}
func (s *site) missing(w http.ResponseWriter, r *http.Request) { s.page(w, r, http.StatusNotFound) }

// page writes the page of the request's path.
func (s *site) page(w http.ResponseWriter, r *http.Request, status int) {
	m := s.moment()
	body, found, err := s.body(r.Context(), m, r.URL.Path)
	if err != nil {
		s.fail(w, err)
		return
	}
	sheet := s.sheet(m, body)
	if found {
		sheet.Live = eventsPath + "?page=" + template.URLQueryEscaper(r.URL.Path)
	} else {
		status = http.StatusNotFound
	}
	if err := sheet.Write(w, status); err != nil {
		s.logger.Debug().Err(err).Msg("client disconnected")
	}
}

func (s *site) sheet(m moment, body template.HTML) Sheet {
	index := m.index(nil)
	nav := []Link{{"Matrix", "/matrix"}}
	for _, l := range m.catalog.Page.Links {
		nav = append(nav, Link{l.Name, l.URL})
	}
	return Sheet{
		Title: title(m), Description: index.Headline + ". " + index.Detail, Brand: m.catalog.Page.Title,
		Nav: append(nav, s.links...), Status: index.Class, At: m.snapshot.At, Body: body,
	}
}

func title(m moment) string {
	v := m.index(nil)
	return v.Headline + " – " + m.catalog.Page.Title
}

// makeBody makes the body of the page with this path.
func (s *site) makeBody(ctx context.Context, m moment, path string) (body template.HTML, found bool, err error) {
	name, isHost := hostOf(path)
	incident, isIncident := incidentOf(path)
	switch {
	case path == "/":
		body, err = s.indexBody(ctx, m)
		return body, true, err
	case isIncident:
		if body, found, err = s.incidentBody(ctx, m, incident); found || err != nil {
			return body, found, err
		}
	case path == "/matrix":
		body, err = Render(templates, "matrix", m.matrix())
		return body, true, err
	case isHost:
		if h, ok := m.host(mesh.Key(name)); ok {
			events, err := s.history(ctx, mesh.Key(name))
			if err != nil {
				return "", true, err
			}
			body, err = Render(templates, "host", map[string]any{"Host": m.hostView(h), "Events": m.events(events)})
			return body, true, err
		}
	}
	body, err = Render(templates, "missing", nil)
	return body, false, err
}

func (s *site) indexBody(ctx context.Context, m moment) (template.HTML, error) {
	events, err := s.history(ctx, "")
	if err != nil {
		return "", err
	}
	incidents, err := s.view.incidents(ctx, m.snapshot.At.AddDate(0, 0, -daysShown), incidentsMax)
	if err != nil {
		return "", err
	}
	v := m.index(events)
	v.Events = v.Events[:min(len(v.Events), eventsMax)]
	v.Incidents, v.Past = m.openIncidents(incidents), m.pastIncidents(incidents)
	return Render(templates, "index", v)
}

func hostOf(path string) (name string, ok bool) {
	const prefix = "/hosts/"
	if len(path) > len(prefix) && path[:len(prefix)] == prefix {
		return path[len(prefix):], true
	}
	return "", false
}

// history is what the page tells of: a week of all hosts, everything of one.
func (s *site) history(ctx context.Context, host string) ([]mesh.Transition, error) {
	var since time.Time
	if host == "" {
		since = time.Now().Add(-week)
	}
	return s.view.transitions(ctx, host, since, historyMax)
}

func (s *site) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.view.ready() {
		writeText(w, http.StatusServiceUnavailable, "not yet\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

func (s *site) fail(w http.ResponseWriter, err error) {
	s.logger.Error().Err(err).Msg("page not rendered")
	writeText(w, http.StatusInternalServerError, "The page could not be made just now. Please try again.\n")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func writeJSON(w http.ResponseWriter, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-cache")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // only a reader that went away fails it
}
