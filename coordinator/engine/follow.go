package engine

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
)

const (
	followRetry  = time.Second
	followLogged = 30 * time.Second // a stream that stays away is told that often
)

// follow reads the stream from where the replay begins until ctx ends. A stream that goes away, as where the disk is full, is
// waited for and read on from where it was.
func (e *Engine) follow(ctx context.Context, messages chan<- message) error {
	from := bus.Start{Sequence: e.first}
	began := time.Now() // arrivals are compared by the monotonic clock
	var told time.Time
	for {
		err := e.Bus.Follow(ctx, from, func(m bus.Message) error {
			arrived := time.Since(began)
			dated := e.dating.take(m)
			e.clock.observe(e.dating, arrived, m.Sequence >= e.live)
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
		if now := time.Now(); now.Sub(told) >= followLogged {
			told = now
			e.Logger.Error().Err(err).Msg("the stream of observations cannot be read; trying again")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followRetry):
		}
	}
}
