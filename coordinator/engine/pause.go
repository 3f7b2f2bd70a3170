package engine

import (
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/sla"
)

// pauseMin is the shortest silence of the stream that is recorded. The leader marks the time every two seconds, and a
// crash of a stream's leader silences NATS for 15 s at most, in which nothing but the judge's time stands still.
const pauseMin = 20 * time.Second

// recordPause writes into the ledger that nothing was judged before the message, if the stream was silent for long. The
// verdicts in the ledger stand through that time, but nobody knows whether they were true.
func recordPause(ctx context.Context, e *Engine, m message) error {
	before := e.handledAt
	e.handledAt = m.at
	if before.IsZero() || m.at.Sub(before) < pauseMin {
		return nil
	}
	known, err := e.config.View.Periods().Pauses(ctx, before, m.at)
	if err != nil {
		return err
	}
	replayed := slices.ContainsFunc(known, func(w sla.Window) bool { return w.From.Equal(before) && w.To.Equal(m.at) })
	if replayed {
		return nil
	}
	e.config.Logger.Warn().Time("from", before.Add(-m.offset)).Time("to", m.at.Add(-m.offset)).
		Msg("nothing was judged for a time")
	return e.write(ctx, []ledger.Event{ledger.PauseEvent{From: before, To: m.at}})
}
