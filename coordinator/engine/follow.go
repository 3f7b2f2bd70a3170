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
func (e *Engine) follow(ctx context.Context, messages chan<- bus.Message) error {
	from := bus.Start{Time: e.from}
	var told time.Time
	for {
		err := e.Bus.Follow(ctx, from, func(m bus.Message) error {
			select {
			case messages <- m:
				from = bus.Start{Sequence: m.Sequence + 1}
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
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
