package engine

import (
	"sync/atomic"
	"time"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/bus"
)

// processed describes the last message that the loop is done with.
type processed struct {
	sequence uint64
	at       time.Time // the stream's
	tick     time.Time // the stream's time of the last tick
	when     time.Time // this machine's
}

func (e *Engine) setProcessed(m message) {
	p := processed{sequence: m.Sequence, at: m.Time, when: time.Now()}
	if before := e.processed.Load(); before != nil {
		p.tick = before.tick
	}
	if m.Kind == bus.Tick || m.Kind == bus.ClockMark {
		p.tick = m.Time
	}
	e.processed.Store(&p)
}

// Progress returns how far the stream was processed.
func (e *Engine) Progress() health.Progress {
	p := e.processed.Load()
	if p == nil {
		return health.Progress{Ready: e.Ready()}
	}
	return health.Progress{Ready: e.Ready(), Sequence: p.sequence, At: p.at, Tick: p.tick, Processed: p.when}
}

// How often in a row a stream must refuse a write to count as stopped: two ticks, and some seconds of writes that are
// retried every second.
const (
	refusedTicks  = 2
	refusedWrites = 5
)

// refusals counts the writes that a stream refused since the last one that it accepted.
type refusals struct{ count atomic.Int64 }

func (r *refusals) note(err error) {
	if err == nil {
		r.count.Store(0)
	} else {
		r.count.Add(1)
	}
}

// Refused reports whether one of the streams no longer accepts writes.
func (e *Engine) Refused() bool {
	return e.refusedTicks.count.Load() >= refusedTicks || e.refusedWrites.count.Load() >= refusedWrites
}
