package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// queueGroup is the group of all coordinators: NATS hands each request to one of them.
const queueGroup = "coordinators"

// AnswerCatalog answers agents that ask for the catalog, until ctx ends. ready is closed as soon as agents can ask. An
// agent that asks too often is not answered.
func (c *Conn) AnswerCatalog(ctx context.Context, ready chan<- struct{}, catalog func(agent string) []byte) error {
	return c.answerAsks(ctx, catalogAsk, ready, func(m *nats.Msg) []byte {
		if data := catalog(asker(m)); data != nil {
			return data
		}
		return []byte{} // an empty answer: there is no catalog yet
	})
}

// AnswerQuestions answers what agents ask besides the catalog, one question after the other, until ctx ends. ready is
// closed as soon as agents can ask. An agent that asks too often is not answered, nor is one for which answer returns
// nil.
func (c *Conn) AnswerQuestions(ctx context.Context, ready chan<- struct{},
	answer func(ctx context.Context, agent string, question []byte) []byte) error {
	return c.answerAsks(ctx, questionAsk, ready, func(m *nats.Msg) []byte { return answer(ctx, asker(m), m.Data) })
}

// AnswerJoinRequests answers join requests, one after the other, until ctx ends. ready is closed as soon as agents can
// join. Anybody may send join requests, so those beyond the rate limits of joinLimits are not answered.
func (c *Conn) AnswerJoinRequests(ctx context.Context, ready chan<- struct{},
	answer func(ctx context.Context, request []byte) []byte) error {
	limits, queue := newJoinLimits(), newRequestQueue()
	sub, err := c.subscribe(bus.SubjectEnrol, func(m *nats.Msg) {
		if limits.allow(requester(m)) {
			queue.add(m)
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	close(ready)
	return c.respond(ctx, queue, func(m *nats.Msg) []byte { return answer(ctx, m.Data) })
}

// askKind distinguishes what agents ask on the one subject that they have for it.
type askKind int

const (
	catalogAsk  askKind = iota // an empty message
	questionAsk                // everything else
)

// asks is the one subscription to the agents' questions. It sorts them by kind into the queues of those that answer; a
// kind that nothing answers is dropped, and agents ask again.
type asks struct {
	sub    *nats.Subscription
	limits map[askKind]*ratelimit.Rates[string]

	mu     sync.Mutex
	queues map[askKind]requestQueue
}

// dispatch runs on the subscription's goroutine, once for each question. The limit comes before the queue, so that an
// agent that asks without end takes no places from others.
func (a *asks) dispatch(m *nats.Msg) {
	kind := catalogAsk
	if len(m.Data) > 0 {
		kind = questionAsk
	}
	a.mu.Lock()
	queue, answered := a.queues[kind]
	a.mu.Unlock()
	if answered && a.limits[kind].Allow(time.Now(), asker(m)) {
		queue.add(m)
	}
}

// asker returns the name of the agent that sent a question. The server permits it no other subject.
func asker(m *nats.Msg) string { return strings.TrimPrefix(m.Subject, bus.SubjectAsk) }

// answerAsks answers the questions of a kind until ctx ends.
func (c *Conn) answerAsks(ctx context.Context, kind askKind, ready chan<- struct{},
	answer func(*nats.Msg) []byte) error {
	queue := newRequestQueue()
	if err := c.addAsks(kind, queue); err != nil {
		return err
	}
	defer c.removeAsks(kind)
	close(ready)
	return c.respond(ctx, queue, answer)
}

// addAsks adds the queue of a kind, and subscribes with the first.
func (c *Conn) addAsks(kind askKind, queue requestQueue) error {
	c.asksMu.Lock()
	defer c.asksMu.Unlock()
	if c.asks != nil {
		return c.asks.add(kind, queue)
	}
	a := &asks{queues: map[askKind]requestQueue{kind: queue}, limits: map[askKind]*ratelimit.Rates[string]{}}
	for _, k := range []askKind{catalogAsk, questionAsk} {
		a.limits[k] = ratelimit.NewRates[string](rate.Every(askEvery), askBurst, askersMax)
	}
	var err error
	if a.sub, err = c.subscribe(bus.SubjectAsk+"*", a.dispatch); err == nil {
		c.asks = a
	}
	return err
}

func (a *asks) add(kind askKind, queue requestQueue) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.queues[kind]; taken {
		return errors.New("answer agents: something answers this kind of question already")
	}
	a.queues[kind] = queue
	return nil
}

// removeAsks removes the queue of a kind, and unsubscribes with the last.
func (c *Conn) removeAsks(kind askKind) {
	c.asksMu.Lock()
	defer c.asksMu.Unlock()
	a := c.asks
	a.mu.Lock()
	delete(a.queues, kind)
	left := len(a.queues)
	a.mu.Unlock()
	if left == 0 {
		_ = a.sub.Unsubscribe()
		c.asks = nil
	}
}

// subscribe has handle called for each request on a subject that this coordinator, and no other, is to answer. It
// returns when the server knows the subscription.
func (c *Conn) subscribe(subject string, handle nats.MsgHandler) (*nats.Subscription, error) {
	sub, err := c.nats.QueueSubscribe(subject, queueGroup, func(m *nats.Msg) {
		if m.Reply != "" { // a message without a reply subject asks for nothing
			handle(m)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("answer %s: %w", subject, err)
	}
	if err = sub.SetPendingLimits(arrivedMax, arrivedBytes); err == nil {
		err = c.nats.FlushTimeout(bus.ConnectWait)
	}
	if err != nil {
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("answer %s: %w", subject, err)
	}
	return sub, nil
}

// requestQueue holds requests that were admitted and wait for their answer.
type requestQueue chan *nats.Msg

func newRequestQueue() requestQueue { return make(requestQueue, requestsMax) }

// add queues a request. One that finds the queue full is dropped, and sent again by an agent that needs the answer.
func (q requestQueue) add(m *nats.Msg) {
	select {
	case q <- m:
	default:
	}
}

// respond answers queued requests, one after the other, until ctx ends. A request for which answer returns nil gets no
// answer.
func (c *Conn) respond(ctx context.Context, queue requestQueue, answer func(*nats.Msg) []byte) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-queue:
			data := answer(m)
			if data == nil {
				continue
			}
			if err := m.Respond(data); err != nil {
				c.log.Warn().Err(err).Str("subject", m.Subject).Msg("answer not sent")
			}
		}
	}
}
