package engine

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Current is the catalog that the judge works by and what it holds, as immutable values.
func (e *Engine) Current() (*catalog.Catalog, *mesh.Snapshot) {
	s := e.shown.Load()
	return s.catalog, s.snapshot
}

// Changed closes when Current has something newer.
func (e *Engine) Changed() <-chan struct{} { return e.shown.Load().changed }

// Ready reports whether agents may come: the replay is over and the catalog is handed out.
func (e *Engine) Ready() bool { return e.ready.Load() }

// Transitions lists the newest transitions since the time, oldest first, of a host's key or of all hosts (""), in
// wall time.
func (e *Engine) Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error) {
	out, err := e.View.Transitions(ctx, host, e.meshTime(since), limit)
	for i := range out {
		out[i] = out[i].InWallTime()
	}
	return out, err
}

// Incidents lists the incidents that were not resolved before the time, by the wall clock, newest first. They hold
// mesh time.
func (e *Engine) Incidents(ctx context.Context, since time.Time, limit int) ([]*incident.Incident, error) {
	return e.View.Incidents(ctx, e.meshTime(since), limit)
}

// meshTime is a time of the wall clock by the present offset; the zero time stays.
func (e *Engine) meshTime(wall time.Time) time.Time {
	if _, offset := e.clock.now(); !wall.IsZero() {
		return wall.Add(offset)
	}
	return wall
}

// Incident is the one with the id; nil when there is none.
func (e *Engine) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	return e.View.Incident(ctx, id)
}

// Streams tells how large the streams are.
func (e *Engine) Streams(ctx context.Context) ([]bus.StreamInfo, error) { return e.StreamsFunc(ctx) }

// Counters count what the judge left out, by name.
func (e *Engine) Counters() map[string]uint64 {
	return map[string]uint64{"ignored": e.ignored.Load(), "rejected": e.rejected.Load()}
}
