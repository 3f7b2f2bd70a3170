// Package node is a running coordinator: the one place that joins the bus, the ledger, the engine and the HTTP servers.
// Open starts what needs starting, Run works until its context ends, Close releases everything. `coordinator serve`,
// the demo and tests use it alike.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/coordinator/integrity"
	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/dirlock"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/privatefile"
)

// Names of files in the data directory that this package gives out.
const (
	viewName    = "view.db"
	latencyName = "latency.db"
	momentsName = "moments"
	busName     = "bus"
	// digestKeyName is the key of the digests of secrets. A backup has it too: a new key makes one new revision of the
	// catalog, and resets no check.
	digestKeyName = "secret-digest.key"
)

// Node is an open coordinator. Its methods are safe for concurrent use.
type Node struct {
	config    Config
	nats      *server.Server
	bus       *buscoordinator.Conn
	ledger    *ledger.Ledger
	view      *view.View
	core      *Core
	enroller  *enroller.Enroller
	losses    *integrity.Guard
	editor    *editorial.Editor
	tokens    *operators.Tokens
	latencies *engine.Latencies
	notifier  *notify.Notifier
	// acknowledger answers the links of messages.
	acknowledger *notify.Acknowledger

	publicTLS           *tls.Config // of the public address; nil: plain HTTP
	publicAddr, opsAddr net.Addr

	tasks   []func(context.Context) error // what Run runs; each returns when its context ends
	closers []func()                      // what Close calls, last first
}

// Open opens a coordinator: every port listens when it returns, and Run answers. It fails with a file.Mistakes error
// if the catalog has mistakes and the ledger has none to continue with. If it fails, all that was opened is closed
// again.
func Open(ctx context.Context, c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: c}
	for _, step := range []func(context.Context) error{
		n.lock,         // first: two coordinators on one directory would write over each other's streams
		n.openBus,      // all state is in its streams
		n.openLedger,   // folds the ledger's stream into the view
		n.openCore,     // replays the streams from where the ledger ends
		n.openEnroller, // asks the core for the members
		n.addMonitors,  // warn through the core
		n.openServers,  // last: nobody reaches a coordinator that cannot answer yet
	} {
		if err := step(ctx); err != nil {
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

// openBus starts or reaches the NATS servers, and connects to them.
func (n *Node) openBus(ctx context.Context) (err error) {
	if n.config.DiskReserve {
		_ = diskguard.Full(n.config.Data) // a start on a full disk works from the reserve of the run before
	}
	if n.nats, err = OpenBus(ctx, n.config); err != nil {
		return err
	}
	n.closers = append(n.closers, n.nats.Close)
	config, err := n.nats.CoordinatorConfig()
	if err != nil {
		return err
	}
	if n.bus, err = buscoordinator.Dial(ctx, config); err != nil {
		return err
	}
	n.closers = append(n.closers, n.bus.Close)
	// There is one coordinator, so it leads. NATS refuses what an earlier process on this directory still writes from
	// here on.
	return n.bus.Lead(ctx)
}

func (n *Node) openLedger(ctx context.Context) (err error) {
	n.ledger, n.view, err = engine.OpenLedger(ctx, n.bus, filepath.Join(n.config.Data, viewName))
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() { _ = n.view.Close() }) // the view is disposable: a start folds it again
	return nil
}

func (n *Node) openCore(ctx context.Context) (err error) {
	digestKey, err := privatefile.Key(filepath.Join(n.config.Data, digestKeyName))
	if err != nil {
		return err
	}
	n.core, err = OpenCore(ctx, CoreConfig{
		Bus: n.bus, Ledger: n.ledger, View: n.view, Streams: n.bus.Streams, Catalog: n.config.Catalog,
		CatalogFile: n.config.CatalogFile, Getenv: os.LookupEnv, DigestKey: digestKey, LoopTurned: n.config.LoopTurned,
		// Only Run calls it, and then the monitors are there.
		Lost:    func(ctx context.Context, g bus.Gap) { n.losses.Lost(ctx, g) },
		Moments: filepath.Join(n.config.Data, momentsName), Logger: n.config.Logger,
	})
	if err != nil {
		return err
	}
	if n.tokens, n.editor, err = openWriting(ctx, n); err != nil {
		return err
	}
	n.tasks = append(n.tasks, n.core.Run, n.tokens.Run, n.editor.Run, n.editor.Incidents().Remind)
	if err := openNotifier(n); err != nil {
		return err
	}
	return openLatency(ctx, n)
}

// openLatency adds what summarizes the observations, and answers queries on them.
func openLatency(ctx context.Context, n *Node) error {
	store, err := latency.Open(ctx, filepath.Join(n.config.Data, latencyName))
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() { _ = store.Close() })
	n.latencies = engine.NewLatencies(store, n.view, n.core.Clock.Now)
	recorder := engine.NewRecorder(engine.RecorderConfig{
		Bus: n.bus, Rollups: n.bus.Rollups(), View: n.view, Store: store,
		Warn: n.core.Warnings.Warn, Logger: n.logger("recorder"),
	})
	n.tasks = append(n.tasks, recorder.Run, n.latencies.Run)
	return nil
}

// openEnroller adds what issues credentials to agents.
func (n *Node) openEnroller(context.Context) error {
	n.enroller = enroller.New(enroller.Config{
		Bus: n.bus, Issuer: n.nats, Members: n.core.Members, Now: n.core.Clock.MeshTime, Warn: n.core.Warnings.Warn,
		Logger: n.logger("enroller"),
	})
	n.tasks = append(n.tasks, func(ctx context.Context) error {
		if err := n.enroller.Run(ctx, make(chan struct{})); ctx.Err() == nil {
			return err
		}
		return nil // the connection may close while the node stops, which is no failure
	})
	return nil
}

// OpenBus starts the NATS server in this process, or reaches the servers of a cluster. It uses Data and the NATS
// settings of the config. The caller closes it.
func OpenBus(ctx context.Context, c Config) (*server.Server, error) {
	config := server.Config{
		Dir: BusDir(c.Data), Listen: c.NATSListen, Advertise: c.Advertise,
		Logger: c.Logger.With().Str("component", "nats").Logger(),
	}
	if len(c.NATSServers) > 0 {
		return server.Use(ctx, config, c.NATSServers)
	}
	return server.Start(ctx, config)
}

// BusDir is the directory of keys, accounts and streams in a data directory.
func BusDir(data string) string { return filepath.Join(data, busName) }

// lock creates the data directory and keeps a second coordinator off it until Close.
func (n *Node) lock(context.Context) error {
	l, err := dirlock.Acquire(n.config.Data)
	var inUse *dirlock.InUseError
	if errors.As(err, &inUse) {
		return fmt.Errorf("another coordinator runs on %s: %w; stop it, or name another directory with --data",
			n.config.Data, err)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	n.closers = append(n.closers, func() { _ = l.Release() })
	return nil
}

// Run works until ctx ends or a part fails. It returns when every part has ended.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, task := range n.tasks {
		g.Go(func() error { return task(ctx) })
	}
	return g.Wait()
}

// Close closes what Open opened, in reverse order. Call it after Run has returned.
func (n *Node) Close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
	n.closers = nil
}

// PublicAddr is where the status page listens.
func (n *Node) PublicAddr() net.Addr { return n.publicAddr }

// OpsAddr is where the operators' view listens.
func (n *Node) OpsAddr() net.Addr { return n.opsAddr }

// NATSServers lists the URLs that agents connect to.
func (n *Node) NATSServers() []string { return n.nats.Servers() }

// Invite creates a join token for the host.
func (n *Node) Invite(ctx context.Context, host string) (token string, err error) {
	return n.enroller.Invite(ctx, host)
}

// Revoke ends the membership of the host's agent, and reports whether it had ended already.
func (n *Node) Revoke(ctx context.Context, host string) (already bool, err error) {
	return n.enroller.Revoke(ctx, host)
}

// Agent is the membership of the host's agent, by the host's key; without a public key if none joined.
func (n *Node) Agent(ctx context.Context, host string) (ledger.Agent, error) {
	return n.core.Members.Agent(ctx, host)
}

// disk measures the file system of the data directory, in bytes.
func (n *Node) disk() (free, size uint64, err error) { return diskguard.Usage(n.config.Data) }

func (n *Node) logger(component string) zerolog.Logger {
	return n.config.Logger.With().Str("component", component).Logger()
}
