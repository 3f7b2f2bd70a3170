package engine

import (
	"context"
	"sync"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// messagesAhead is how many messages of a replay are read before the judge needs them.
const messagesAhead = 64

// readAhead is what reading a batch found, before it is admitted.
type readAhead struct {
	batch *mesh.Batch
	err   error
}

// followAhead calls fn with the messages of a part of the stream, in order, until fn fails. Meanwhile another goroutine
// decodes the next batches whose sequence is after the given one: decoding takes as long as judging.
func followAhead(
	ctx context.Context, b Bus, from bus.Start, dating dating, after uint64, fn func(message) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue, followed := make(chan message, messagesAhead), error(nil)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(queue)
		followed = b.Follow(ctx, from, func(m bus.Message) error {
			for _, d := range dating.add(m) {
				if d.Kind == bus.Batch && d.Sequence > after {
					d.ahead = new(readAhead)
					d.ahead.batch, d.ahead.err = readBatch(d)
				}
				select {
				case queue <- d:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	defer reading.Wait()
	for m := range queue {
		if err := fn(m); err != nil {
			cancel() // before the wait
			return err
		}
	}
	return followed
}
