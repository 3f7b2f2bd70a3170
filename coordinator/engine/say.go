package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

const publishRetry = time.Second

// publish writes transitions to the ledger before anybody sees them.
func (e *Engine) publish(ctx context.Context, transitions []mesh.Transition, offset time.Duration) error {
	for together := range slices.Chunk(transitions, togetherMax) {
		events := make([]ledger.Event, len(together))
		for i, t := range together {
			t.Offset = offset
			events[i] = ledger.TransitionEvent{Transition: t}
			e.Logger.Info().Str("host", t.Host).Str("check", t.Check).Str("status", string(t.To)).
				Time("began", t.Began.Add(-offset)).Strs("reasons", reasons(t)).Msg(t.Sentence)
		}
		if err := e.write(ctx, events); err != nil {
			return err
		}
	}
	return nil
}

// reasonsMax is how many reasons of a transition are logged.
const reasonsMax = 3

// reasons are different reasons that the transition's bad edges report, as the agents wrote them: for operators.
func reasons(t mesh.Transition) []string {
	out := []string{}
	for _, v := range t.Votes {
		for _, e := range v.Edges {
			if v.Vote == mesh.Bad && e.Vote == mesh.Bad && len(out) < reasonsMax && !slices.Contains(out, e.Reason) {
				out = append(out, e.Reason)
			}
		}
	}
	return out
}

// write tries until it can: a verdict is never lost.
func (e *Engine) write(ctx context.Context, events []ledger.Event) error {
	for {
		err := e.Ledger.Append(ctx, events...)
		e.refusedWrites.note(err)
		if err == nil || errors.Is(err, bus.ErrFenced) || ctx.Err() != nil {
			return err
		}
		e.Logger.Error().Err(err).Msg("the ledger cannot be written; trying again")
		e.turned() // it waits for the disk, or for NATS, and does not hang
		select {
		case <-ctx.Done():
		case <-time.After(publishRetry):
		}
	}
}

// ask tells every agent to look now.
func (e *Engine) ask(ctx context.Context, asks []mesh.Ask) {
	for _, a := range asks {
		data, err := wire.EncodeControl(wire.Control{Look: &a})
		if err == nil {
			err = e.Bus.Broadcast(ctx, data)
		}
		if err != nil {
			e.Logger.Warn().Err(err).Str("host", a.Host).Msg("agents could not be asked to look")
		}
	}
}

// show makes what the judge holds visible, where it changed and readers had time for what was before. It reports whether
// it did.
func (e *Engine) show() bool {
	if !e.dirty || !e.present || time.Since(e.shownAt) < showEvery {
		return false
	}
	e.dirty, e.shownAt = false, time.Now()
	snapshot := e.judge.Snapshot()
	e.nameSilent(snapshot, e.offset)
	nameCut(snapshot, e.ward, e.offset)
	snapshot.ShowWallTime(e.offset)
	e.warnSharedIdentities(snapshot)
	old := e.shown.Swap(&shown{e.judging, snapshot, make(chan struct{})})
	close(old.changed)
	return true
}

// tick marks the passing of time on the stream, which is the judge's only clock: at each tick, and at once where
// messages wait to be dated. It ends with bus.ErrFenced when another coordinator leads.
func (e *Engine) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickBusy)
	defer ticker.Stop()
	last, often := time.Now(), e.Logger.Sample(ticksLogged())
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			if !e.busy.Load() && now.Sub(last) < tickIdle {
				continue
			}
			last = now
		case <-e.clock.due:
		}
		err := e.mark(ctx)
		if errors.Is(err, bus.ErrFenced) {
			return err
		}
		e.refusedTicks.note(err)
		if err != nil && ctx.Err() == nil {
			often.Warn().Err(err).Msg("stream does not accept ticks")
		}
	}
}
