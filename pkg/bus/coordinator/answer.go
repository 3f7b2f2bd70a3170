package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// queueGroup is the group of all coordinators: NATS hands each request to one of them.
const queueGroup = "coordinators"

// AnswerCatalog answers agents that ask for the catalog, until ctx ends. ready is closed as soon as agents can ask. An
// agent that asks too often is not answered. catalog gets the key to seal the agent's secrets to; nil if the agent sent
// none, or one that is no key.
func (c *Conn) AnswerCatalog(
	ctx context.Context, ready chan<- struct{}, catalog func(agent string, key *bus.SealKey) []byte,
) error {
	return c.responder.answerAsks(ctx, catalogAsk, ready, func(m *nats.Msg) []byte {
		if data := catalog(asker(m), sealKey(m)); data != nil {
			return data
		}
		return []byte{} // an empty answer: there is no catalog yet
	})
}

func sealKey(m *nats.Msg) *bus.SealKey {
	if key, err := bus.ParseSealKey(m.Header.Get(bus.HeaderSealKey)); err == nil {
		return &key
	}
	return nil
}

// AnswerQuestions answers what agents ask besides the catalog, one question after the other, until ctx ends. ready is
// closed as soon as agents can ask. An agent that asks too often is not answered, nor is one for which answer returns
// nil.
func (c *Conn) AnswerQuestions(ctx context.Context, ready chan<- struct{},
	answer func(ctx context.Context, agent string, question []byte) []byte) error {
	return c.responder.answerAsks(ctx, questionAsk, ready,
		func(m *nats.Msg) []byte { return answer(ctx, asker(m), m.Data) })
}

// AnswerJoinRequests answers join requests, one after the other, until ctx ends. ready is closed as soon as agents can
// join. Anybody may send join requests, so those beyond the rate limits of joinLimits are not answered.
func (c *Conn) AnswerJoinRequests(ctx context.Context, ready chan<- struct{},
	answer func(ctx context.Context, request []byte) []byte) error {
	limits, queue := newJoinLimits(), newRequestQueue()
	sub, err := c.responder.subscribe(bus.SubjectEnrol, func(m *nats.Msg) {
		if limits.allow(requester(m)) {
			queue.add(m)
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	close(ready)
	return c.responder.respond(ctx, queue, func(m *nats.Msg) []byte { return answer(ctx, m.Data) })
}

// responder answers requests over a connection.
type responder struct {
	nats *nats.Conn
	log  zerolog.Logger

	mu   sync.Mutex
	asks *asks // nil while nothing answers agents
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
func (r *responder) answerAsks(ctx context.Context, kind askKind, ready chan<- struct{},
	answer func(*nats.Msg) []byte) error {
	queue := newRequestQueue()
	if err := r.addAsks(kind, queue); err != nil {
		return err
	}
	defer r.removeAsks(kind)
	close(ready)
	return r.respond(ctx, queue, answer)
}

// addAsks adds the queue of a kind, and subscribes with the first.
func (r *responder) addAsks(kind askKind, queue requestQueue) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asks != nil {
		return r.asks.add(kind, queue)
	}
	a := &asks{queues: map[askKind]requestQueue{kind: queue}, limits: map[askKind]*ratelimit.Rates[string]{}}
	for _, k := range []askKind{catalogAsk, questionAsk} {
		a.limits[k] = ratelimit.NewRates[string](rate.Every(askEvery), askBurst, askersMax)
	}
	var err error
	if a.sub, err = r.subscribe(bus.SubjectAsk+"*", a.dispatch); err == nil {
		r.asks = a
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
func (r *responder) removeAsks(kind askKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.asks
	a.mu.Lock()
	delete(a.queues, kind)
	left := len(a.queues)
	a.mu.Unlock()
	if left == 0 {
		_ = a.sub.Unsubscribe()
		r.asks = nil
	}
}

// subscribe has handle called for each request on a subject that this coordinator, and no other, is to answer. It
// returns when the server knows the subscription.
func (r *responder) subscribe(subject string, handle nats.MsgHandler) (*nats.Subscription, error) {
	sub, err := r.nats.QueueSubscribe(subject, queueGroup, func(m *nats.Msg) {
		if m.Reply != "" { // a message without a reply subject asks for nothing
			handle(m)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("answer %s: %w", subject, err)
	}
	if err = sub.SetPendingLimits(arrivedMax, arrivedBytes); err == nil {
		err = r.nats.FlushTimeout(bus.ConnectWait)
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
func (r *responder) respond(ctx context.Context, queue requestQueue, answer func(*nats.Msg) []byte) error {
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
				r.log.Warn().Err(err).Str("subject", m.Subject).Msg("answer not sent")
			}
		}
	}
}
