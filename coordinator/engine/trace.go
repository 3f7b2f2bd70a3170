package engine

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// traceBefore is how long before the cause of a transition its trace begins: the last good probes belong to it.
	traceBefore = 20 * time.Second
	// traceMax bounds how much of the stream a trace covers. A verdict that changed because votes expired has a cause
	// that may be long ago.
	traceMax = 5 * time.Minute
)

// Trace returns what led to a transition of a check, by replay: probes, rounds and votes, in the order in which the
// judge met them, in wall time. The transition is one of History.
func (r *Replayer) Trace(ctx context.Context, t mesh.Transition) ([]judge.Event, error) {
	if err := r.awaitTurn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-r.turn }()
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	published := t.Published.Add(t.Offset)
	from := later(tracedSince(t).Add(t.Offset-traceBefore), published.Add(-traceMax))
	p, err := r.reach(ctx, published, trace{from: from, of: &t})
	if err != nil {
		return nil, explained(err)
	}
	if p.tracer == nil {
		return nil, errkind.New(errkind.NotFound, "the stream of observations has nothing of this change any more")
	}
	return p.tracer.Events(), nil
}

// tracedSince returns when what led to a transition began. One to unknown began with the oldest result that its votes
// were made of: the votes have expired since.
func tracedSince(t mesh.Transition) time.Time {
	since := t.Began
	if t.Verdict != mesh.Unknown {
		return since
	}
	for _, v := range t.Votes {
		for _, e := range v.Edges {
			if !v.Own && !e.At.IsZero() && e.At.Before(since) {
				since = e.At
			}
		}
	}
	return since
}

// trace is what a replay records. The zero value records nothing.
type trace struct {
	from time.Time // mesh time
	of   *mesh.Transition
}

// step has the judge do the next step, recorded if it belongs to the trace.
func (p *past) step(in judge.Input) {
	of := p.trace.of
	if of == nil || in.At.Before(p.trace.from) || in.Sequence > of.Sequence {
		p.judge.Step(in)
		return
	}
	if p.tracer == nil {
		p.tracer = judge.NewTracer(p.judge, *of)
	}
	p.tracer.Step(in)
}
