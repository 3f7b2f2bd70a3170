package node

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// roomEvery is how often a coordinator that waits for disk space measures it.
const roomEvery = time.Second

// OpenWhenRoom is Open, but while the disk has no space to start, it serves the status page from the history that the
// directory holds: every host is unknown, and incidents and past days are there. It logs that, and returns when there
// is space and Open succeeded, when Open fails for another reason, or when ctx ends.
func OpenWhenRoom(ctx context.Context, c Config) (*Node, error) {
	for {
		n, err := Open(ctx, c)
		if err == nil || ctx.Err() != nil || !c.DiskReserve || !diskguard.Full(c.Data) {
			return n, err
		}
		c.Logger.Error().Err(err).Str("data", c.Data).
			Msg("disk full: nothing is judged; the status page shows the history until there is space")
		if failed := servePast(ctx, c); failed != nil {
			c.Logger.Error().Err(failed).Msg("history unreadable: no status page until there is space")
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// servePast serves the status page from the history until the disk has space or ctx ends.
func servePast(ctx context.Context, c Config) error {
	n := &Node{config: c}
	defer n.Close()
	if err := n.lock(ctx); err != nil {
		return err
	}
	v, err := view.OpenPast(ctx, filepath.Join(c.Data, viewName))
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() { _ = v.Close() })
	// Without the file, as before the first start of this version, pages show no latencies.
	store, err := latency.OpenPast(ctx, filepath.Join(c.Data, latencyName))
	if err == nil {
		n.closers = append(n.closers, func() { _ = store.Close() })
	}
	source, err := newPastSource(ctx, v, store)
	if err != nil {
		return err
	}
	certificates, err := n.tlsConfig()
	if err != nil {
		return err
	}
	pages := web.NewHandler(n.logger("web"), web.Public, n.siteRoutes(source, web.Public)...)
	if n.publicAddr, err = n.serveTCP(c.Listen, certificates, pages); err != nil {
		return err
	}
	c.Logger.Info().Stringer("page", n.publicAddr).Msg("history served")
	g, serving := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(serving)
	defer stop()
	for _, task := range n.tasks {
		g.Go(func() error { return task(serving) })
	}
	g.Go(func() error {
		defer stop()
		awaitRoom(serving, c)
		return nil
	})
	return g.Wait()
}

// awaitRoom returns when the disk has space or ctx ends. It does not let a watchdog take the wait for a hang.
func awaitRoom(ctx context.Context, c Config) {
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for diskguard.Full(c.Data) {
		if c.LoopTurned != nil {
			c.LoopTurned(time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pastSource is what the status page shows without a judge: the history, and nothing of the present.
type pastSource struct {
	*engine.History
	*engine.Latencies
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
	changed  chan struct{} // never closed
}

func newPastSource(ctx context.Context, v *view.View, store *latency.Store) (pastSource, error) {
	last, err := v.Catalog(ctx)
	if err != nil {
		return pastSource{}, err
	}
	now := func() (at time.Time, offset time.Duration) { return time.Now().Add(last.Offset), last.Offset }
	return pastSource{
		engine.NewHistory(v, now), engine.NewLatencies(store, v, now), last.Catalog,
		unknownSnapshot(last.Catalog, time.Now()), make(chan struct{}),
	}, nil
}

func (s pastSource) Current() (*catalog.Catalog, *mesh.Snapshot) { return s.catalog, s.snapshot }
func (s pastSource) Changed() <-chan struct{}                    { return s.changed }
func (s pastSource) Ready() bool                                 { return false }
func (s pastSource) Archive() web.Archive                        { return s.History.ArchiveView() }

// unknownSnapshot is a snapshot in which nothing is known of any host.
func unknownSnapshot(c *catalog.Catalog, at time.Time) *mesh.Snapshot {
	const sentence = "Unknown: the monitoring itself is interrupted."
	s := &mesh.Snapshot{At: at, Revision: c.Revision, Alerts: []string{"disk full: nothing is judged"}}
	for _, h := range c.Hosts {
		host := mesh.HostState{
			Name: h.Name, Region: h.Region, Public: h.Public, Status: mesh.StatusUnknown, Since: at, Sentence: sentence,
		}
		for _, check := range h.Checks {
			host.Checks = append(host.Checks, mesh.CheckState{
				Name: check.Name, Kind: check.Kind, Critical: check.Critical, Verdict: mesh.Unknown, Since: at,
				Sentence: sentence,
			})
		}
		s.Hosts = append(s.Hosts, host)
	}
	return s
}
