// Package api is the status page for programs: /api/v2 in the shape of Atlassian Statuspage's public API, and
// /api/v1, our own, with each region's vote and a stream of events.
package api

import (
	"context"
	"html/template"
	"net/http"
	"sync/atomic"
	"time"

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
}

// API answers the requests of programs of one audience, and the event streams of pages.
type API struct {
	view    *web.View
	pages   Pages
	streams *web.Streams
	ready   *web.Answers
	latest  atomic.Pointer[statusData] // of the latest "status" event
	reports web.RenderCache            // apart: the queries of one client must not push out what all need
}

// New returns an API.
func New(c Config) *API {
	return &API{view: c.View, pages: c.Pages, streams: web.NewStreams(c.Streams), ready: web.NewAnswers(c.View)}
}

// Routes lists every address of the API. A test visits all of them and looks for text that the public must not read.
func (a *API) Routes() []web.Route {
	kept := func(h web.HandlerFunc) web.HandlerFunc { return a.ready.Ready(web.ByPath, h) }
	return []web.Route{
		{Pattern: "GET /api/v2/summary.json", Handler: kept(a.summary)},
		{Pattern: "GET /api/v2/status.json", Handler: kept(a.status)},
		{Pattern: "GET /api/v2/components.json", Handler: kept(a.components)},
		{Pattern: "GET /api/v2/incidents.json", Handler: kept(a.incidents)},
		{Pattern: "GET /api/v2/incidents/unresolved.json", Handler: kept(a.unresolved)},
		{Pattern: "GET /api/v2/scheduled-maintenances.json", Handler: kept(a.maintenances)},
		{Pattern: "GET /api/v2/scheduled-maintenances/upcoming.json", Handler: kept(a.maintenances)},
		{Pattern: "GET /api/v2/scheduled-maintenances/active.json", Handler: kept(a.maintenances)},
		{Pattern: "GET /api/v1/matrix", Handler: kept(a.matrix)},
		{Pattern: "GET /api/v1/transitions", Handler: a.ready.Ready(web.WithoutQuery, a.transitions)},
		{Pattern: "GET /api/v1/uptime", Handler: a.ready.Ready(web.WithoutQuery, a.uptime)},
		{Pattern: "GET /api/v1/hosts/{host}/votes", Handler: a.ready.Ready(votesKey, a.votes)},
		{Pattern: "GET " + web.EventsPath, Handler: a.events},
		{Pattern: "GET /api/", Handler: noAddress},
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
