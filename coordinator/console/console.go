// Package console is the operators' HTML: every host, internal ones too, the latest result of each vantage, the
// agents, how the coordinator itself is doing, and metrics for Prometheus.
package console

import (
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Source is the running coordinator, as the console needs it. The engine implements it.
type Source interface {
	// Current returns the catalog in force and the judge's latest snapshot, both immutable.
	Current() (*catalog.Catalog, *mesh.Snapshot)
	// Changed returns a channel that is closed when Current has a newer value.
	Changed() <-chan struct{}
	// Problems lists what operators must mend, each as a sentence.
	Problems() []string
	// Streams returns the sizes of the streams.
	Streams(ctx context.Context) ([]bus.StreamInfo, error)
	// Counters returns how many messages and observations the judge left out, by reason.
	Counters() map[string]uint64
	// Health returns how far the judge and the view are behind. With an error, it has what could be measured.
	Health(ctx context.Context) (health.Report, error)
}

// Config is what a console needs.
type Config struct {
	Source  Source
	Site    http.Handler                          // the site and the API for operators: all other paths
	Disk    func() (free, size uint64, err error) // bytes of the data directory's file system; nil if unknown
	Version string
	Logger  zerolog.Logger
}

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(web.Funcs()).ParseFS(files, "templates/*.html"))

const (
	eventsPath = "/console/events"
	streamsMax = 100 // open pages of operators
)

type console struct {
	config  Config
	streams *web.Streams

	mu      sync.Mutex
	facts   []fact // about the coordinator itself, as of factsAt
	factsAt time.Time
}

// New returns the console's handler. It answers only requests whose Host header names this machine, and
// none that a browser sends for a page of another site.
func New(c Config) http.Handler {
	s := &console{config: c, streams: web.NewStreams(web.StreamsConfig{Max: streamsMax, PerClient: streamsMax})}
	mux := web.NewMux(c.Logger,
		web.Route{Pattern: "GET /{$}", Handler: s.page},
		web.Route{Pattern: "GET /matrix", Handler: s.page},
		web.Route{Pattern: "GET /agents", Handler: s.page},
		web.Route{Pattern: "GET " + eventsPath, Handler: s.events},
	)
	mux.Handle("GET /metrics", newMetrics(c))
	mux.Handle("/", c.Site)
	return web.LocalOnly(web.RefuseCrossSite(mux, c.Logger), c.Logger)
}

// page is one of the console's own pages: a template and its data.
type page struct {
	title, template string
	data            func(*console, *mesh.Snapshot) any
}

// pages are the console's own pages by path. The event stream finds them here too.
var pages = map[string]page{
	"/":       {"Overview", "overview", (*console).overview},
	"/matrix": {"Matrix", "matrix", func(_ *console, s *mesh.Snapshot) any { return newMatrixView(s) }},
	"/agents": {"Agents", "agents", func(_ *console, s *mesh.Snapshot) any { return newAgentRows(s) }},
}

var navigation = []web.Link{
	{Name: "Overview", URL: "/"}, {Name: "Matrix", URL: "/matrix"}, {Name: "Agents", URL: "/agents"},
	{Name: "Metrics", URL: "/metrics"},
}

func (s *console) page(w http.ResponseWriter, r *http.Request) error {
	c, snapshot := s.config.Source.Current()
	p := pages[r.URL.Path]
	body, err := web.Render(templates, p.template, p.data(s, snapshot))
	if err != nil {
		return err
	}
	return web.Layout{
		Title: p.title + " – " + c.Page.Title, Description: "The operators' view of " + c.Page.Title,
		Brand: c.Page.Title + ": operators", Nav: navigation, Events: eventsPath + "?page=" + r.URL.Path,
		At: snapshot.At, Body: body, DownShare: c.Rule.DownShare,
	}.Write(w, http.StatusOK)
}

// events streams the body of the page in ?page= after every change.
func (s *console) events(w http.ResponseWriter, r *http.Request) error {
	p, ok := pages[r.FormValue("page")]
	if !ok {
		return web.Errorf(http.StatusNotFound, "no page %q", r.FormValue("page"))
	}
	update := func(send web.SendFunc) error {
		c, snapshot := s.config.Source.Current()
		body, err := web.Render(templates, p.template, p.data(s, snapshot))
		if err != nil {
			return err
		}
		if err := send("page", string(body)); err != nil {
			return err
		}
		status, err := json.Marshal(struct {
			Title string `json:"title"`
		}{p.title + " – " + c.Page.Title})
		if err != nil {
			return err
		}
		return send("status", string(status))
	}
	at := func() time.Time { _, snapshot := s.config.Source.Current(); return snapshot.At }
	return s.streams.Serve(w, r, web.Feed{Changed: s.config.Source.Changed, Update: update, At: at})
}
