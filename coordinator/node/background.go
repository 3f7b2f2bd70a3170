package node

import (
	"context"

	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/heartbeat"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// addBackground adds the tasks that watch the coordinator itself: its disk, and the heartbeat to an external monitor.
func (n *Node) addBackground() {
	if n.config.DiskReserve {
		guard := diskguard.New(diskguard.Config{
			Dir: n.config.Data, Warn: n.engine.Warn, Store: streamStore{n.engine, n.nats},
		})
		n.tasks = append(n.tasks, guard.Run)
	}
	if n.config.Heartbeat.URL != "" {
		c := n.config.Heartbeat
		c.Judging, c.Warn = n.engine.Judging, n.engine.Warn
		n.tasks = append(n.tasks, func(ctx context.Context) error { return heartbeat.Run(ctx, c) })
	}
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
