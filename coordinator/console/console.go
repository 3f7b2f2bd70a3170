// Package console is the operators' HTML: what needs an operator now, who reaches what, every host with internal ones,
// the agents, the catalog, how the coordinator itself is doing, and metrics for Prometheus. Its pages only read.
package console

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Source is the running coordinator, as the console needs it. Times that it returns are wall time.
type Source interface {
	// Current returns the catalog in force and the judge's latest snapshot, both immutable.
	Current() (*catalog.Catalog, *mesh.Snapshot)
	// Changed returns a channel that is closed when Current has a newer value.
	Changed() <-chan struct{}
	// Warnings returns the problems that operators must fix, each as a sentence, by subject.
	Warnings() map[string]string
	// Streams returns the sizes of the streams.
	Streams(ctx context.Context) ([]bus.StreamInfo, error)
	// Counters returns how many messages and observations the judge left out, by reason.
	Counters() map[string]uint64
	// Health returns how far the judge and the view are behind. With an error, it has what could be measured.
	Health(ctx context.Context) (health.Report, error)
	// TransitionsIn lists the newest transitions in a period of mesh time, oldest first: those of the host that has this
	// key at present, or all for "". The zero time as its end is the present.
	TransitionsIn(ctx context.Context, host string, since, until time.Time, limit int) ([]mesh.Transition, error)
	// DecidedAt lists the transitions that were decided at a sequence of the stream of observations.
	DecidedAt(ctx context.Context, sequence uint64) ([]mesh.Transition, error)
	// Latency returns round-trip times of a check by region and hour or day.
	Latency(ctx context.Context, c *catalog.Catalog, q latency.Request) (latency.Report, error)
	// Incidents lists incidents, newest first.
	Incidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error)
	// Minutes returns what vantages observed of a check, all named as in the catalog, in the minutes of the last two days.
	Minutes(ctx context.Context, c *catalog.Catalog, q latency.MinutesRequest) ([]latency.Point, error)
	// Overview returns what each region observed of each check of the catalog in the last 48 hours.
	Overview(ctx context.Context, c *catalog.Catalog, public bool) (latency.Overview, error)
	// Losses returns the losses of each vantage on each check in a period of the last latency.LossesReach.
	Losses(ctx context.Context, from, to time.Time) ([]latency.VantageLoss, error)
}

// Config is what a console needs.
type Config struct {
	Source  Source
	Records Records                               // nil: the catalog has no history on its page
	Past    Past                                  // nil: pages show the present alone
	Site    http.Handler                          // the site and the API for operators: all other paths
	Disk    func() (free, size uint64, err error) // bytes of the data directory's file system; nil if unknown
	Version string
	// Notifications returns the state of the channels; nil if there are none.
	Notifications func(context.Context) (Notifications, error)
	// Certificates lists what the coordinator presents to others, and what signed it. CredentialEnds returns when the
	// credentials of agents end, by the keys of their hosts. Both are nil if that is not known.
	Certificates   func(now time.Time) []health.Certificate
	CredentialEnds func() map[string]time.Time
	// Names are host names under which a proxy passes requests on, beside those of this machine.
	Names  []string
	Logger zerolog.Logger
}

const (
	eventsPath = "/console/events"
	streamsMax = 100 // open pages of operators
)

type console struct {
	config  Config
	streams *web.Streams
	pages   *http.ServeMux // the console's own pages; event streams find theirs here too

	factsMu sync.Mutex
	facts   []fact // about the coordinator itself, as of factsAt
	factsAt time.Time

	lossMu sync.Mutex
	loss   lossCounts // as of lossAt; never changed once they are here
	lossAt time.Time

	historyMu sync.Mutex
	history   []ledger.Change // the newest changes of the catalog, while the revision historyOf is in force
	historyOf string

	missMu sync.Mutex
	missed map[missKey]missCount
}

// New returns the console's handler. It answers only requests whose Host header names this machine, and
// none that a browser sends for a page of another site.
func New(c Config) http.Handler {
	s := &console{
		config:  c,
		missed:  map[missKey]missCount{},
		streams: web.NewStreams(web.StreamsConfig{Max: streamsMax, PerClient: streamsMax}),
	}
	s.pages = s.newPages()
	mux := web.NewMux(c.Logger, web.Route{Pattern: "GET " + eventsPath, Handler: s.events})
	mux.Handle("GET /metrics", NewMetrics(c))
	mux.Handle("/", s.orSite(c.Site))
	return web.LocalOnly(web.RefuseCrossSite(mux, c.Logger), c.Logger, c.Names...)
}
