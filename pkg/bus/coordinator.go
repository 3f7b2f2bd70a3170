package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// CoordinatorConfig is a coordinator's way onto the bus: to the server in this process or to others, with the same kind of
// credentials as everyone else.
type CoordinatorConfig struct {
	InProcess nats.InProcessConnProvider // nil: Servers
	Servers   []string                   // URLs
	CA        []byte                     // of Servers, PEM
	JWT, Seed string
	Logger    zerolog.Logger
}

// Coordinator is a coordinator's connection. It is safe for concurrent use.
type Coordinator struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	log     zerolog.Logger
	obs     jetstream.Stream
	ledger  jetstream.Stream
	answers jetstream.KeyValue // the enrolment bucket
	epoch   uint64             // the ledger's sequence of this coordinator's epoch: its fence
	fence   clockFence
}

// Bounds of the streams. Of one subject OBS keeps what the leader's ticks can be at most, one in 250 ms: that is eight times an
// agent's heartbeats, and an agent that says more pushes out its own past and not the others'.
const (
	obsAge      = 48 * time.Hour
	obsSubject  = int64(obsAge / (250 * time.Millisecond))
	obsBytes    = 2 << 30 // until ResizeObservations is called
	obsDedup    = 10 * time.Minute
	ledgerBytes = 8 << 30

	complaintsLogged = 10 // in a minute
)

// DialCoordinator connects, makes the streams where they are missing, and takes the lead: what an earlier leader still writes
// to the ledger is refused from then on.
func DialCoordinator(ctx context.Context, c CoordinatorConfig) (*Coordinator, error) {
	keys, err := credentials(c.JWT, c.Seed)
	if err != nil {
		return nil, err
	}
	b := &Coordinator{log: c.Logger}
	way, err := c.way()
	if err != nil {
		return nil, err
	}
	often := c.Logger.Sample(&zerolog.BurstSampler{Burst: complaintsLogged, Period: time.Minute}) // a flood of questions causes one each
	opts := append(forever(), keys, way, nats.Name("coordinator"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { often.Warn().Err(err).Msg("NATS error") }))
	if b.conn, err = nats.Connect(strings.Join(c.Servers, ","), opts...); err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	if err := b.prepare(ctx); err != nil {
		b.conn.Close()
		return nil, err
	}
	return b, nil
}

func (c CoordinatorConfig) way() (nats.Option, error) {
	if c.InProcess != nil {
		return nats.InProcessServer(c.InProcess), nil
	}
	tlsConfig, err := trust(c.CA)
	return nats.Secure(tlsConfig), err
}

func (b *Coordinator) prepare(ctx context.Context) (err error) {
	if b.js, err = jetstream.New(b.conn); err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	size, err := b.observationsSize(ctx)
	if err != nil {
		return err
	}
	b.obs, err = b.stream(ctx, jetstream.StreamConfig{
		Name: "OBS", Description: "what the agents saw, and the marks between", Subjects: []string{SubjectObservations + "*", SubjectMark + "*"},
		MaxAge: obsAge, MaxBytes: size, MaxMsgsPerSubject: obsSubject, Discard: jetstream.DiscardOld, Duplicates: obsDedup,
		Compression: jetstream.S2Compression, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return err
	}
	b.ledger, err = b.stream(ctx, jetstream.StreamConfig{
		Name: "LEDGER", Description: "the truth, kept for years", Subjects: []string{SubjectLedger + ">"},
		MaxBytes: ledgerBytes, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage, Duplicates: obsDedup,
		AllowAtomicPublish: true, AllowDirect: true, DenyDelete: true,
	})
	if err != nil {
		return err
	}
	if b.answers, err = b.bucket(ctx, "enrolment"); err != nil {
		return err
	}
	return b.lead(ctx)
}

// observationsSize is how many bytes OBS holds: what it was given before, since a smaller size would discard what is there.
func (b *Coordinator) observationsSize(ctx context.Context) (int64, error) {
	s, err := b.js.Stream(ctx, "OBS")
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return obsBytes, nil
	case err != nil:
		return 0, fmt.Errorf("stream OBS: %w", err)
	}
	return s.CachedInfo().Config.MaxBytes, nil
}

// stream makes or updates a stream, with three copies where the servers form a cluster.
func (b *Coordinator) stream(ctx context.Context, c jetstream.StreamConfig) (s jetstream.Stream, err error) {
	err = copied(func(replicas int) error {
		c.Replicas = replicas
		s, err = b.js.CreateOrUpdateStream(ctx, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", c.Name, err)
	}
	return s, nil
}

// bucket makes or updates a bucket, with as many copies as a stream has.
func (b *Coordinator) bucket(ctx context.Context, name string) (kv jetstream.KeyValue, err error) {
	err = copied(func(replicas int) error {
		kv, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, History: 1, Storage: jetstream.FileStorage, Replicas: replicas})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	return kv, nil
}

// copied asks for three copies, and for one where the server is alone.
func copied(do func(replicas int) error) error {
	const notClustered = 10074
	err := do(3)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == notClustered {
		return do(1)
	}
	return err
}

// Kind is what a message of the stream OBS is.
type Kind string

// The kinds of messages in OBS.
const (
	Batch       Kind = "batch"
	CatalogMark Kind = "catalog"
	RosterMark  Kind = "roster"
	Tick        Kind = "tick"
	ClockMark   Kind = "clock" // a tick that carries the leader's offset of mesh time
)

// Message is one message of the stream OBS.
type Message struct {
	Sequence uint64
	Time     time.Time
	Kind     Kind
	Agent    string // of a batch: who could publish it
	Header   func(string) string
	Data     []byte
}

// Mark puts a mark between the batches. A mark whose id the stream already has is dropped.
func (b *Coordinator) Mark(ctx context.Context, kind Kind, id string, data []byte) (sequence uint64, err error) {
	ack, err := b.js.Publish(ctx, SubjectMark+string(kind), data, jetstream.WithMsgID(id))
	if err != nil {
		return 0, fmt.Errorf("mark %s: %w", kind, err)
	}
	return ack.Sequence, nil
}

// Start is where Follow begins. It is a sequence and never a time: the server's clock may be stepped, and then its
// timestamps are no order.
type Start struct{ Sequence uint64 }

// Follow hands every message of OBS to fn, in order, until ctx ends or fn fails. It survives reconnects.
func (b *Coordinator) Follow(ctx context.Context, from Start, fn func(Message) error) error {
	r := &streamReader{conn: b.conn, stream: b.obs, next: from.Sequence}
	return r.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		out := Message{Sequence: at.Sequence.Stream, Time: at.Timestamp, Header: m.Header.Get, Data: m.Data}
		if agent, ok := strings.CutPrefix(m.Subject, SubjectObservations); ok {
			out.Kind, out.Agent = Batch, agent
		} else {
			out.Kind = Kind(strings.TrimPrefix(m.Subject, SubjectMark))
		}
		return fn(out)
	})
}

// Tell says a control word to every agent.
func (b *Coordinator) Tell(_ context.Context, data []byte) error {
	if err := b.conn.Publish(SubjectControlAll, data); err != nil {
		return fmt.Errorf("tell the agents: %w", err)
	}
	return nil
}

// AnswerCatalog answers agents that ask for the catalog, with an empty question, until ctx ends. Ready is closed as soon as it can. An agent that asks
// more often than asks allows is not answered.
func (b *Coordinator) AnswerCatalog(ctx context.Context, ready chan<- struct{}, catalog func(agent string) []byte) error {
	limit := newAsks()
	admit := func(m *nats.Msg) bool { return len(m.Data) == 0 && limit.Allow(time.Now(), asker(m)) }
	return b.answer(ctx, SubjectAsk+"*", "coordinators", ready, admit, func(m *nats.Msg) (answer []byte, ok bool) {
		return catalog(asker(m)), true
	})
}

// ServeEnrolment answers those who want to join, one after the other, until ctx ends. More than knocks allows are not answered:
// anybody may knock.
func (b *Coordinator) ServeEnrolment(ctx context.Context, ready chan<- struct{}, answer func(ctx context.Context, request []byte) []byte) error {
	knocks := newKnocks()
	admit := func(m *nats.Msg) bool { return knocks.allow(knocker(m)) }
	return b.answer(ctx, SubjectEnrol, "coordinators", ready, admit, func(m *nats.Msg) ([]byte, bool) {
		return answer(ctx, m.Data), true
	})
}

// asker is the agent that asks.
func asker(m *nats.Msg) string { return strings.TrimPrefix(m.Subject, SubjectAsk) }

// answer answers requests, of which each goes to one coordinator of the group. One without a reply asks for nothing, and one that fn
// does not want to answer is left alone. Only requests that admit accepts wait for their turn: it is called at once for each that
// arrives, by one goroutine, so that those of a flood take no places from others.
func (b *Coordinator) answer(ctx context.Context, subject, group string, ready chan<- struct{}, admit func(*nats.Msg) bool, fn func(*nats.Msg) (answer []byte, ok bool)) error {
	requests := make(chan *nats.Msg, requestsMax)
	sub, err := b.conn.QueueSubscribe(subject, group, func(m *nats.Msg) {
		if m.Reply == "" || !admit(m) {
			return
		}
		select {
		case requests <- m:
		default: // it is asked again by those who need it
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(arrivedMax, arrivedBytes)
	}
	if err != nil {
		return fmt.Errorf("answer %s: %w", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.conn.FlushTimeout(connectWait); err != nil {
		return fmt.Errorf("answer %s: %w", subject, err)
	}
	close(ready)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-requests:
			data, ok := fn(m)
			if !ok {
				continue
			}
			if err := m.Respond(data); err != nil {
				b.log.Warn().Err(err).Str("subject", m.Subject).Msg("an answer could not be sent")
			}
		}
	}
}

// StreamInfo is how large a stream is.
type StreamInfo struct {
	Name     string
	Messages uint64
	Bytes    uint64
	First    uint64
	Last     uint64
	Created  time.Time
}

// Streams tells how large the streams are.
func (b *Coordinator) Streams(ctx context.Context) ([]StreamInfo, error) {
	var out []StreamInfo
	for _, s := range []jetstream.Stream{b.obs, b.ledger} {
		info, err := s.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.CachedInfo().Config.Name, err)
		}
		out = append(out, StreamInfo{
			Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
			First: info.State.FirstSeq, Last: info.State.LastSeq, Created: info.Created,
		})
	}
	return out, nil
}

// Close ends the connection.
func (b *Coordinator) Close() { b.conn.Close() }
