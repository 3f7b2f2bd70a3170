package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pullBatch     = 256 // messages per request; the next is sent when half of them have arrived
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second // between the server's heartbeats while there is no message
	readRetry     = 250 * time.Millisecond
	readInactive  = 5 * time.Minute // after which the server removes the consumer of a reader that is gone
)

// errConsumerLost reports that a reader must continue with another consumer.
var errConsumerLost = errors.New("consumer lost")

// streamReader reads a stream in order, from a sequence on. It does what an ordered consumer of nats.go does, with one
// difference: nats.go mistakes a stored message without data and with a header "Status" for a status message of the
// server, so that one agent could stop every reader of the stream. The reader distinguishes them by the reply subject,
// which only the server sets: stored messages have one, status messages have none.
type streamReader struct {
	conn     *nats.Conn
	stream   jetstream.Stream
	next     uint64 // the first sequence that was not read yet
	subjects []string
	inactive time.Duration // zero: readInactive
	// headersOnly leaves out the messages' data.
	headersOnly bool

	consumer string // the server's name of the consumer
	received uint64 // messages of this consumer
	pending  int    // messages that were requested and have not arrived
	inbox    string
}

// each calls fn for the messages until ctx ends or fn fails. It survives reconnects and restarts of servers.
func (r *streamReader) each(ctx context.Context, fn func(*nats.Msg, *nats.MsgMetadata) error) error {
	began := false
	for {
		err := r.consume(ctx, &began, fn)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.conn.IsClosed():
			return nats.ErrConnectionClosed
		case !errors.Is(err, errConsumerLost):
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(readRetry):
		}
	}
}

// consume reads through one consumer for as long as that lasts. If the first consumer cannot be created, that is the
// caller's error; a later one is retried.
func (r *streamReader) consume(ctx context.Context, began *bool, fn func(*nats.Msg, *nats.MsgMetadata) error) error {
	connected := r.conn.StatusChanged(nats.CONNECTED)
	defer r.conn.RemoveStatusListener(connected)
	r.inbox = r.conn.NewInbox()
	messages := make(chan *nats.Msg, 4*pullBatch)
	sub, err := r.conn.ChanSubscribe(r.inbox, messages)
	if err != nil {
		return fmt.Errorf("follow %s: %w", r.name(), err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := r.create(ctx); err != nil {
		if *began {
			return errConsumerLost
		}
		return fmt.Errorf("follow %s: %w", r.name(), err)
	}
	*began = true
	defer r.remove(ctx)
	quiet := time.NewTimer(2 * pullHeartbeat)
	defer quiet.Stop()
	for {
		if err := r.pull(); err != nil {
			return errConsumerLost
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-connected:
			return errConsumerLost // the consumer lived in the memory of a server that may be gone
		case <-quiet.C:
			return errConsumerLost
		case m := <-messages:
			quiet.Reset(2 * pullHeartbeat)
			if err := r.receive(m, fn); err != nil {
				return err
			}
		}
	}
}

func (r *streamReader) name() string { return r.stream.CachedInfo().Config.Name }

// create creates a consumer that begins with the next message.
func (r *streamReader) create(ctx context.Context) error {
	inactive := r.inactive
	if inactive == 0 {
		inactive = readInactive
	}
	c, err := r.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(r.next, 1), FilterSubjects: r.subjects,
		AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1, MemoryStorage: true, Replicas: 1, InactiveThreshold: inactive,
		HeadersOnly: r.headersOnly,
	})
	if err != nil {
		return err
	}
	r.consumer, r.received, r.pending = c.CachedInfo().Name, 0, 0
	return nil
}

// remove deletes the consumer. If that fails, the server does so once it has been inactive for long enough.
func (r *streamReader) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if r.conn.IsConnected() {
		_ = r.stream.DeleteConsumer(ctx, r.consumer)
	}
}

// pull requests more messages if few are in flight.
func (r *streamReader) pull() error {
	if r.pending > pullBatch/2 {
		return nil
	}
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{pullBatch, pullExpires, pullHeartbeat})
	if err != nil {
		return err
	}
	r.pending += pullBatch
	return r.conn.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+r.name()+"."+r.consumer, r.inbox, request)
}

// receive handles a stored message or a status message.
func (r *streamReader) receive(m *nats.Msg, fn func(*nats.Msg, *nats.MsgMetadata) error) error {
	if m.Reply == "" {
		return r.status(m)
	}
	at, err := m.Metadata()
	if err != nil || at.Sequence.Consumer != r.received+1 {
		return errConsumerLost // a message was lost in transit: read it again
	}
	r.received++
	r.pending--
	if err := fn(m, at); err != nil {
		return err
	}
	r.next = at.Sequence.Stream + 1
	return nil
}

// status handles a status message of the server.
func (r *streamReader) status(m *nats.Msg) error {
	switch m.Header.Get("Status") {
	case "100": // heartbeat
		return nil
	case "404", "408": // a request ended before all its messages arrived
		left, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			return errConsumerLost
		}
		r.pending = max(r.pending-left, 0)
		return nil
	}
	return errConsumerLost
}
