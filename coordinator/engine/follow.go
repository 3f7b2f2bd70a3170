package engine

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
)

const (
	followRetry  = time.Second
	followLogged = 30 * time.Second // how often a stream that stays away is logged
)

// follow reads the stream from where the replay begins until ctx ends. If the stream goes away, as when the disk is
// full, it retries and continues where it was.
func (e *Engine) follow(ctx context.Context, messages chan<- message) error {
	start := e.config.Clock.start
	from, dating := bus.Start{Sequence: start.sequence}, &dating{clock: start.clock}
	began := time.Now() // arrivals are compared by the monotonic clock
	var logged, stored time.Time
	for {
		err := e.config.Bus.Follow(ctx, from, func(m bus.Message) error {
			arrived := time.Since(began)
			e.noteGap(ctx, from.Sequence, stored, m)
			stored = m.Time
			dated := dating.add(m)
			e.config.Clock.observe(dating, arrived, m.Sequence >= e.live)
			from = bus.Start{Sequence: m.Sequence + 1}
			for _, d := range dated {
				select {
				case messages <- d:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		if ctx.Err() != nil {
			return err
		}
		if now := time.Now(); now.Sub(logged) >= followLogged {
			logged = now
			e.config.Logger.Error().Err(err).Msg("stream of observations unreadable; retrying")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followRetry):
		}
	}
}

// removedMax is the longest time between the messages around those that were removed on purpose: only batches are, and
// the ticks between them stay.
const removedMax = 2*tickIdle + time.Second

// noteGap reports the messages before m that are missing though they were stored. The one before them has the time
// stored; zero means that m is the first.
func (e *Engine) noteGap(ctx context.Context, next uint64, stored time.Time, m bus.Message) {
	if e.config.Lost == nil || stored.IsZero() || m.Sequence <= next || m.Time.Sub(stored) <= removedMax {
		return
	}
	e.config.Lost(ctx, bus.Gap{Stream: "OBS", First: next, Last: m.Sequence - 1, After: stored, Before: m.Time})
}
