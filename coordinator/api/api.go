// Package api is the status page for programs: /api/v2 in the shape of Atlassian Statuspage's public API, and
// /api/v1, our own, with each region's vote, a stream of events and, with a token, everything that people write.
package api

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Pages renders the bodies of HTML pages for the event stream. Package site implements it.
type Pages interface {
	Body(ctx context.Context, s web.State, path string) (body template.HTML, found bool, err error)
}

// Config is what an API needs.
type Config struct {
	View    *web.View
	Pages   Pages
	Streams web.StreamsConfig
	// Tokens and the editors are nil where nothing can be written.
	Tokens      Tokens
	Editor      Editor
	Incidents   IncidentEditor
	Maintenance MaintenanceEditor
	Logger      zerolog.Logger
}

// API answers the requests of programs of one audience, and the event streams of pages.
type API struct {
	view    *web.View
	pages   Pages
	streams *web.Streams
	ready   *web.Answers
	latest  atomic.Pointer[statusData] // of the latest "status" event
	// urgentOf is of the latest state.
	urgentOf atomic.Pointer[urgentKeys]
	reports  web.RenderCache // apart: the queries of one client must not push out what all need

	config   Config
	access   *access
	document func() (json.RawMessage, error) // the OpenAPI document
}

// New returns an API.
func New(c Config) *API {
	a := &API{
		view: c.View, pages: c.Pages, streams: web.NewStreams(c.Streams), ready: web.NewAnswers(c.View),
		access: &access{tokens: c.Tokens, log: c.Logger, busy: map[string]bool{}}, config: c,
	}
	a.document = sync.OnceValues(func() (json.RawMessage, error) { return openAPIOf(a.operations()) })
	return a
}

// Routes lists every address of the API. A test visits all of them and looks for text that the public must not read.
func (a *API) Routes() []web.Route {
	routes := statuspage{a.view, a.ready, &changeTimes{}}.routes()
	for _, o := range a.operations() {
		routes = append(routes, o.route())
	}
	routes = append(routes, web.Route{Pattern: "GET /api/", Handler: noAddress})
	for _, method := range writing {
		routes = append(routes, web.Route{Pattern: method + " /api/", Handler: noMethod(routes)})
	}
	return routes
}

// writing are the methods of requests that change something.
var writing = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// noMethod answers requests with a method that the address does not have.
func noMethod(routes []web.Route) web.HandlerFunc {
	addresses := http.NewServeMux()
	for _, route := range routes {
		if !strings.HasSuffix(route.Pattern, " /api/") {
			addresses.HandleFunc(route.Pattern, func(http.ResponseWriter, *http.Request) {})
		}
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range append([]string{http.MethodGet}, writing...) {
			asked := r.Clone(r.Context())
			asked.Method = method
			if _, pattern := addresses.Handler(asked); pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			return noAddress(w, r)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return web.Errorf(http.StatusMethodNotAllowed, "%s answers %s only", r.URL.Path, strings.Join(allowed, ", "))
	}
}

// votesKey is the key of the votes on a host: one however its name is spelt.
func votesKey(r *http.Request) (string, bool) { return "votes " + mesh.Key(r.PathValue("host")), true }

// noAddress answers all other paths of the API. Without it the site's page for people would.
func noAddress(_ http.ResponseWriter, r *http.Request) error {
	return web.Errorf(http.StatusNotFound, "the API has no address %q", r.URL.Path)
}

// optional is a time as JSON has it: in UTC, null if it is zero.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
