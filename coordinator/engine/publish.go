package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

const publishRetry = time.Second

// publish writes transitions to the ledger. It returns when they are stored, so that nobody sees a verdict that a
// restart forgets.
func (e *Engine) publish(ctx context.Context, transitions []mesh.Transition, offset time.Duration) error {
	for together := range slices.Chunk(transitions, togetherMax) {
		events := make([]ledger.Event, len(together))
		for i, t := range together {
			t.Offset = offset
			events[i] = ledger.TransitionEvent{Transition: t}
			level := zerolog.InfoLevel
			if t.To.Severity() > t.From.Severity() {
				level = zerolog.WarnLevel // what operators filter for
			}
			e.config.Logger.WithLevel(level).Str("host", t.Host).Str("check", t.Check).Str("status", string(t.To)).
				Time("began", t.Began.Add(-offset)).Strs("reasons", reasons(t)).Msg(t.Sentence)
		}
		if err := e.write(ctx, events); err != nil {
			return err
		}
	}
	return nil
}

// reasonsMax bounds the reasons of a transition that are logged.
const reasonsMax = 3

// reasons returns different reasons of the transition's bad edges, as the agents wrote them: only operators see them.
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

// write appends the events and retries until it succeeds: a verdict is never dropped. It fails when another
// coordinator leads.
func (e *Engine) write(ctx context.Context, events []ledger.Event) error {
	for {
		err := e.config.Ledger.Append(ctx, events...)
		e.refusedWrites.note(err)
		if err == nil || errors.Is(err, bus.ErrFenced) || ctx.Err() != nil {
			return err
		}
		e.config.Logger.Error().Err(err).Msg("ledger write failed; retrying")
		e.loopTurned() // the loop waits for the disk or for NATS; a watchdog must not take that for a hang
		select {
		case <-ctx.Done():
		case <-time.After(publishRetry):
		}
	}
}

// requestRounds asks every agent to look at the hosts now, which it names as agents do.
func (e *Engine) requestRounds(ctx context.Context, asks []mesh.RoundRequest) {
	for _, a := range asks {
		called := mesh.RoundRequest{Round: a.Round, Host: e.decoder.filter.Called(a.Host)}
		data, err := wire.EncodeControl(wire.Control{Round: &called})
		if err == nil {
			err = e.config.Bus.Broadcast(ctx, data)
		}
		if err != nil {
			e.config.Logger.Warn().Err(err).Str("host", a.Host).Msg("round request failed")
		}
	}
}
