package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Ask asks any coordinator a question; an empty one is for the catalog. It fails when the connection goes, since nobody answers
// over the next one what was asked over the last.
func (a *Agent) Ask(ctx context.Context, question []byte) ([]byte, error) {
	ctx, cancel := a.whileConnected(ctx)
	defer cancel()
	reply, err := a.conn.RequestWithContext(ctx, SubjectAsk+a.name, question)
	if err != nil {
		return nil, fmt.Errorf("ask the coordinator: %w", err)
	}
	return reply.Data, nil
}

// Reconnected speaks after each new connection.
func (a *Agent) Reconnected() <-chan struct{} { return a.reconnected }

// ServeQuestions answers what agents ask besides the catalog, one after the other, until ctx ends. Ready is closed as soon as it
// can. An agent that asks more often than asks allows is not answered, nor is one to which answer has nothing to say.
func (b *Coordinator) ServeQuestions(ctx context.Context, ready chan<- struct{}, answer func(ctx context.Context, agent string, question []byte) []byte) error {
	limit := newAsks()
	admit := func(m *nats.Msg) bool { return len(m.Data) > 0 && limit.Allow(time.Now(), asker(m)) }
	return b.answer(ctx, SubjectAsk+"*", "questions", ready, admit, func(m *nats.Msg) ([]byte, bool) {
		data := answer(ctx, asker(m), m.Data)
		return data, data != nil
	})
}
