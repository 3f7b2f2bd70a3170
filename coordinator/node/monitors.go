package node

import (
	"context"

	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/heartbeat"
	"github.com/probemesh/probemesh/coordinator/integrity"
	"github.com/probemesh/probemesh/coordinator/quotaguard"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// addMonitors adds the tasks that watch over what agents use and over the coordinator itself.
func (n *Node) addMonitors(ctx context.Context) error {
	quotas := quotaguard.New(quotaguard.Config{
		Bus: n.bus, Issuer: n.nats, Members: n.core.Members, Catalogs: n.view.CatalogsSince, Warn: n.core.Warnings.Warn,
		Logger: n.logger("quotaguard"),
	})
	n.tasks = append(n.tasks, quotas.Run, func(ctx context.Context) error { return watchCertificates(ctx, n) })
	n.losses = integrity.New(integrity.Config{
		Bus: n.bus, View: n.view.Losses(), Warn: n.core.Warnings.Warn,
		Free: freeForStreams(n.config), Texts: n.bus.Texts(), Events: n.bus, Logger: n.logger("integrity"),
	})
	n.losses.Start(ctx)
	n.tasks = append(n.tasks, n.losses.Run)
	if n.config.DiskReserve {
		guard := diskguard.New(diskguard.Config{
			Dir: n.config.Data, Warn: n.core.Warnings.Warn, Store: streamStore{n.core.Engine, n.nats},
		})
		n.tasks = append(n.tasks, guard.Run)
	}
	if n.config.Heartbeat.URL != "" {
		c := n.config.Heartbeat
		c.Judging, c.Warn = n.core.Health.Judging, n.core.Warnings.Warn
		n.tasks = append(n.tasks, func(ctx context.Context) error { return heartbeat.Run(ctx, c) })
	}
	return nil
}

// streamStore is the streams as the disk guard sees them.
type streamStore struct {
	engine *engine.Engine
	nats   *server.Server
}

// Stopped reports whether the streams stopped or refuse writes. The server does not notice every way in which a full
// disk stops it, so refused writes of the engine count as well.
func (s streamStore) Stopped() bool { return s.nats.Stopped() || s.engine.Refused() }

// Revive restarts the streams.
func (s streamStore) Revive() error { return s.nats.Revive() }

// freeForStreams measures the space that is left for the streams; nil if they are a cluster's.
func freeForStreams(c Config) func() (uint64, error) {
	if len(c.NATSServers) > 0 {
		return nil
	}
	return func() (uint64, error) {
		free, _, err := diskguard.Usage(c.Data)
		return free, err
	}
}
