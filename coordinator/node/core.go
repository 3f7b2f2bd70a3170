package node

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Core is what decides in a coordinator, on one bus and one ledger: without servers, credentials and monitors.
type Core struct {
	Clock    *engine.Clock
	Catalogs *catalogs.Store
	Engine   *engine.Engine
	Members  *engine.Members
	History  *engine.History
	Replayer *engine.Replayer
	Warnings *health.Warnings
	Health   *health.Checker
}

// CoreBus is what a Core needs of NATS.
type CoreBus interface {
	engine.Bus
	catalogs.Bus
}

// CoreConfig configures a Core.
type CoreConfig struct {
	Bus         CoreBus
	Ledger      *ledger.Ledger
	View        *view.View
	Streams     func(ctx context.Context) ([]bus.StreamInfo, error)
	Catalog     *catalog.Catalog               // see Config
	CatalogFile string                         // see Config
	Getenv      func(string) (string, bool)    // for ${VAR} in the catalog's file, and for secrets
	DigestKey   []byte                         // see catalogs.Config
	LoopTurned  func(now time.Time)            // see Config
	Lost        func(context.Context, bus.Gap) // see engine.Config
	Moments     string                         // the directory of saved states, see engine.Moments; "" saves none
	Logger      zerolog.Logger
}

// OpenCore makes a Core that shows what the ledger holds. It fails with a file.Mistakes error if the catalog's
// file has mistakes and the ledger has no catalog to continue with.
func OpenCore(ctx context.Context, c CoreConfig) (*Core, error) {
	logger := func(component string) zerolog.Logger { return c.Logger.With().Str("component", component).Logger() }
	// The clock reads the stream's end before anything is written to it.
	clock, err := engine.OpenClock(ctx, c.Bus, c.View)
	if err != nil {
		return nil, err
	}
	moments, err := engine.OpenMoments(c.Moments, logger("engine"))
	if err != nil {
		return nil, err
	}
	core := &Core{
		Clock: clock, Warnings: health.NewWarnings(logger("health")),
		History: engine.NewHistory(c.View, clock.Now), Replayer: engine.NewReplayer(c.Bus, c.View, moments),
	}
	core.Catalogs, err = catalogs.Open(ctx, catalogs.Config{
		Bus: c.Bus, Ledger: c.Ledger, View: c.View, Catalog: c.Catalog, File: c.CatalogFile, Getenv: c.Getenv,
		DigestKey: c.DigestKey,
		Clock:     clock.Now, Problems: core.Warnings.SetFileProblems, Warn: core.Warnings.Warn,
		// Only Run calls it, and then there is an engine.
		Snapshot: func() *mesh.Snapshot { _, s := core.Engine.Current(); return s },
		Logger:   logger("catalogs"),
	})
	if err != nil {
		return nil, err
	}
	core.Members = engine.NewMembers(engine.MembersConfig{
		Bus: c.Bus, Ledger: c.Ledger, View: c.View, Clock: clock, Catalog: core.Catalogs.Current,
	})
	agents, observe := observers(core.Catalogs, core.Warnings, logger("health"))
	core.Engine, err = engine.New(ctx, engine.Config{
		Bus: c.Bus, Ledger: c.Ledger, View: c.View, Clock: clock,
		Catalog: core.Catalogs.Current(), Answering: core.Catalogs.Answering(),
		RosterChanged: func(r *mesh.Roster, live bool) {
			agents.SetRoster(r)
			if live {
				core.Catalogs.RosterChanged()
			}
		},
		SnapshotMade: observe, LoopTurned: c.LoopTurned, Lost: c.Lost, Moments: moments,
		Logger: logger("engine"),
	})
	if err != nil {
		return nil, err
	}
	core.Health = health.New(health.Config{
		Warnings: core.Warnings, Progress: core.Engine.Progress, Streams: c.Streams, ViewSequence: c.View.Sequence,
	})
	return core, nil
}

// observers returns what turns snapshots into warnings: agents for their own sake, since the roster is set on them.
func observers(
	c *catalogs.Store, w *health.Warnings, l zerolog.Logger,
) (*health.Agents, func(*mesh.Snapshot, time.Duration)) {
	agents, pending, expiries := health.NewAgents(w, l), health.NewPendingChecks(w, l), health.NewExpiries(w, l)
	return agents, func(s *mesh.Snapshot, offset time.Duration) {
		agents.Observe(s, offset)
		if n := c.Current().Notify; n != nil {
			pending.After = n.PendingAfter
		}
		pending.Observe(s)
		expiries.Observe(s, offset)
	}
}

// Run works until ctx ends or a part fails. It returns when every part has ended.
func (c *Core) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Catalogs.Run(ctx) })
	g.Go(func() error { return c.Engine.Run(ctx) })
	g.Go(func() error { return c.Health.WatchLag(ctx) })
	return g.Wait()
}
