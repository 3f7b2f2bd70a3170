package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/bus"
)

const (
	ackWait      = 3 * time.Second
	publishRetry = 300 * time.Millisecond
)

// Send publishes a batch after those that were sent before it, and returns at once. wait returns nil when the stream
// has stored the batch; any error but bus.ErrRefused leaves that open. A batch may be sent again: the stream drops an
// id that it has.
func (c *Conn) Send(id string, headers map[string]string, data []byte) (wait func(ctx context.Context) error) {
	m := &nats.Msg{Subject: bus.SubjectObservations + c.name, Header: nats.Header{nats.MsgIdHdr: {id}}, Data: data}
	for key, value := range headers {
		m.Header.Set(key, value)
	}
	// Without retries of nats.go: it would send this batch after later ones.
	future, err := c.stream.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return func(context.Context) error { return publishError(err) }
	}
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return fmt.Errorf("publish: %w", ctx.Err())
		case <-future.Ok():
			return nil
		case err := <-future.Err():
			return publishError(err)
		}
	}
}

// publishError marks the errors after which no retry can succeed.
func publishError(err error) error {
	const tooLarge = 10054 // for the stream
	var answer *jetstream.APIError
	if errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &answer) && answer.ErrorCode == tooLarge {
		return fmt.Errorf("%w: %w", bus.ErrRefused, err)
	}
	return fmt.Errorf("publish: %w", err)
}

// Publish sends a batch until the stream has stored it, ctx ends, or the stream refuses it for good. headers is called
// before each attempt, since a batch's age is one of them.
func (c *Conn) Publish(ctx context.Context, id string, headers func() map[string]string, data []byte) error {
	for {
		err := c.Send(id, headers(), data)(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, bus.ErrRefused) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("publish: %w; last: %w", ctx.Err(), err)
		case <-time.After(publishRetry):
		}
	}
}
