package main

import (
	"context"

	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/coordinator/heartbeat"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// attend has the node look after itself: the room on its disk, and a word to somebody outside that it judges.
func (n *node) attend(c nodeConfig, natsd *server.Server) {
	if c.reserve {
		w := diskguard.New(diskguard.Config{Dir: c.data, Warn: n.Warn, Store: store{n, natsd}})
		n.tasks = append(n.tasks, w.Run)
	}
	if c.deadMan.URL != "" {
		pings := c.deadMan
		pings.Judging, pings.Warn = n.Judging, n.Warn
		n.tasks = append(n.tasks, func(ctx context.Context) error { return heartbeat.Run(ctx, pings) })
	}
}

// disk tells how much room the data directory has.
func (n *node) disk() (free, size uint64, err error) { return diskguard.Of(n.data) }

// store is the streams as the watch over the disk sees them.
type store struct {
	*node
	*server.Server
}

// Stopped reports whether the streams stopped, or take nothing.
func (s store) Stopped() bool { return s.Server.Stopped() || s.Refused() }
