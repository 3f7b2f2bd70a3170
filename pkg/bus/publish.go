package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	ackWait      = 3 * time.Second
	publishRetry = 300 * time.Millisecond
)

// ErrRefused says that a batch will never be taken, however often it is sent.
var ErrRefused = errors.New("the bus refuses the batch")

// Send sends an agent's batch behind those that were sent before it, and returns at once. wait returns when the stream has it, or
// why that is not known: the connection ended, the stream said no or nothing at all. Sending it again with its id does no harm.
func (a *Agent) Send(id string, headers map[string]string, data []byte) (wait func(ctx context.Context) error) {
	m := &nats.Msg{Subject: SubjectObservations + a.name, Header: nats.Header{nats.MsgIdHdr: {id}}, Data: data}
	for key, value := range headers {
		m.Header.Set(key, value)
	}
	future, err := a.stream.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return func(context.Context) error { return refused(err) }
	}
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return fmt.Errorf("publish: %w", ctx.Err())
		case <-future.Ok():
			return nil
		case err := <-future.Err():
			return refused(err)
		}
	}
}

// refused tells what will never be taken from what may be.
func refused(err error) error {
	const tooLarge = 10054 // for the stream
	var answer *jetstream.APIError
	if errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &answer) && answer.ErrorCode == tooLarge {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("publish: %w", err)
}

// Publish sends an agent's batch until the stream has it, or ctx ends, or the bus refuses it for good. headers is asked before
// each sending.
func (a *Agent) Publish(ctx context.Context, id string, headers func() map[string]string, data []byte) error {
	for {
		err := a.Send(id, headers(), data)(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrRefused) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("publish: %w; last: %w", ctx.Err(), err)
		case <-time.After(publishRetry):
		}
	}
}
