// Package coordinator is a coordinator's connection to NATS: it reads and writes the streams and answers agents.
//
// Dial connects and changes nothing for others. Follow reads OBS. Lead makes this coordinator the leader: only then
// does it append to the ledger and mark the clock, and whatever an earlier leader still writes is refused.
package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
)

// Config configures a coordinator's connection, to the server in this process or to others. The credentials are of the
// same kind either way.
type Config struct {
	InProcess nats.InProcessConnProvider // nil: Endpoint
	Endpoint  bus.Endpoint
	JWT, Seed string
	Logger    zerolog.Logger
}

// Conn is a coordinator's connection. It is safe for concurrent use.
type Conn struct {
	nats   *nats.Conn
	js     jetstream.JetStream
	log    zerolog.Logger
	obs    jetstream.Stream
	ledger jetstream.Stream
	recordStores
	rollupStore
	enrolment jetstream.KeyValue
	epoch     atomic.Uint64 // the ledger's sequence of this coordinator's epoch; 0 before Lead
	clock     clockFence
	responder *responder
}

// Bounds of the streams. OBS keeps as many messages of one subject as the leader can send ticks in two days, one in 250
// ms. That is eight times an agent's heartbeats; an agent that sends more pushes out its own past and not that of
// others.
const (
	obsAge     = 48 * time.Hour
	obsSubject = int64(obsAge / (250 * time.Millisecond))
	obsBytes   = 2 << 30 // until ResizeObservations is called
	obsDedup   = 10 * time.Minute
)

// errorsLogged bounds how many errors of nats.go are logged in a minute: a flood of requests causes one each.
const errorsLogged = 10

// Dial connects and creates the streams that are missing. It does not make this coordinator the leader.
func Dial(ctx context.Context, c Config) (*Conn, error) {
	credentials, err := bus.Credentials(c.JWT, c.Seed, nil)
	if err != nil {
		return nil, err
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	conn := &Conn{log: c.Logger}
	sampled := c.Logger.Sample(&zerolog.BurstSampler{Burst: errorsLogged, Period: time.Minute})
	opts := append(bus.AlwaysReconnect(), credentials, transport, nats.Name("coordinator"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { sampled.Warn().Err(err).Msg("NATS error") }))
	if conn.nats, err = nats.Connect(strings.Join(c.Endpoint.Servers, ","), opts...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	conn.responder = &responder{nats: conn.nats, log: c.Logger}
	if err := conn.openStreams(ctx); err != nil {
		conn.nats.Close()
		return nil, err
	}
	return conn, nil
}

// transport returns the option that reaches the servers.
func (c Config) transport() (nats.Option, error) {
	if c.InProcess != nil {
		return nats.InProcessServer(c.InProcess), nil
	}
	trust, err := bus.NewTrustStore(c.Endpoint.CA)
	if err != nil {
		return nil, err
	}
	return nats.Secure(trust.TLSConfig()), nil
}

// openStreams creates the streams and the bucket, or updates their settings.
func (c *Conn) openStreams(ctx context.Context) (err error) {
	if c.js, err = jetstream.New(c.nats); err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	size, err := observationsSize(ctx, c.js)
	if err != nil {
		return err
	}
	c.obs, err = openStream(ctx, c.js, jetstream.StreamConfig{
		// A full stream discards its oldest messages: verdicts need the newest.
		Name: "OBS", Description: "observations of the agents, and the coordinators' marks between them",
		Subjects: []string{bus.SubjectObservations + "*", bus.SubjectMark + "*"},
		MaxAge:   obsAge, MaxBytes: size, MaxMsgsPerSubject: obsSubject, Discard: jetstream.DiscardOld, Duplicates: obsDedup,
		Compression: jetstream.S2Compression, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return err
	}
	c.ledger, err = openStream(ctx, c.js, jetstream.StreamConfig{
		Name: "LEDGER", Description: "the mesh's history, kept for years", Subjects: []string{bus.SubjectLedger + ">"},
		// No limit but the disk's: a full ledger would refuse transitions, and one that discards its oldest event would
		// have a hole. A stream that an earlier version limited loses its limit here.
		MaxBytes: -1, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage, Duplicates: obsDedup,
		AllowAtomicPublish: true, AllowDirect: true, DenyDelete: true,
	})
	if err != nil {
		return err
	}
	if c.rollups, err = openRollups(ctx, c.nats, c.js); err != nil {
		return err
	}
	if c.texts, err = openRecords(ctx, c.nats, c.js, "TEXT", "what people wrote", bus.SubjectText); err != nil {
		return err
	}
	c.people, err = openRecords(ctx, c.nats, c.js, "PEOPLE", "operators and subscribers", bus.SubjectPeople)
	if err != nil {
		return err
	}
	c.enrolment, err = openBucket(ctx, c.js, "enrolment")
	return err
}

// observationsSize returns the maximum size of OBS: the present one if there is a stream, since a smaller one would
// discard batches.
func observationsSize(ctx context.Context, js jetstream.JetStream) (int64, error) {
	s, err := js.Stream(ctx, "OBS")
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return obsBytes, nil
	case err != nil:
		return 0, fmt.Errorf("stream OBS: %w", err)
	}
	return s.CachedInfo().Config.MaxBytes, nil
}

func openStream(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) (s jetstream.Stream, err error) {
	err = withReplicas(func(replicas int) error {
		c.Replicas = replicas
		s, err = js.CreateOrUpdateStream(ctx, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", c.Name, err)
	}
	return s, nil
}

func openBucket(ctx context.Context, js jetstream.JetStream, name string) (kv jetstream.KeyValue, err error) {
	err = withReplicas(func(replicas int) error {
		kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, History: 1, Storage: jetstream.FileStorage, Replicas: replicas,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	return kv, nil
}

// withReplicas calls create with three replicas, and with one if the server is not part of a cluster.
func withReplicas(create func(replicas int) error) error {
	const notClustered = 10074
	err := create(3)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == notClustered {
		return create(1)
	}
	return err
}

// Mark publishes a mark between the batches and returns its sequence. The stream drops a mark whose id it has already.
func (c *Conn) Mark(ctx context.Context, kind bus.Kind, id string, data []byte) (sequence uint64, err error) {
	ack, err := c.js.Publish(ctx, bus.SubjectMark+string(kind), data, jetstream.WithMsgID(id))
	if err != nil {
		return 0, fmt.Errorf("mark %s: %w", kind, classify(err))
	}
	return ack.Sequence, nil
}

// Follow calls fn for every message of OBS, in order, until ctx ends or fn fails. It survives reconnects. It reads
// only: a coordinator that follows does not disturb the leader.
func (c *Conn) Follow(ctx context.Context, from bus.Start, fn func(bus.Message) error) error {
	r := &streamReader{conn: c.nats, stream: c.obs, next: from.Sequence}
	return r.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		out := bus.Message{Sequence: at.Sequence.Stream, Time: at.Timestamp, Header: m.Header.Get, Data: m.Data}
		if agent, ok := strings.CutPrefix(m.Subject, bus.SubjectObservations); ok {
			out.Kind, out.Agent = bus.Batch, agent
		} else {
			out.Kind = bus.Kind(strings.TrimPrefix(m.Subject, bus.SubjectMark))
		}
		return fn(out)
	})
}

// Broadcast sends a control message to every agent that is connected.
func (c *Conn) Broadcast(_ context.Context, data []byte) error {
	if err := c.nats.Publish(bus.SubjectControlAll, data); err != nil {
		return fmt.Errorf("broadcast to the agents: %w", classify(err))
	}
	return nil
}

// Streams returns the size of each stream.
func (c *Conn) Streams(ctx context.Context) ([]bus.StreamInfo, error) {
	var out []bus.StreamInfo
	for _, s := range []jetstream.Stream{c.obs, c.ledger, c.rollups.stream} {
		info, err := s.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.CachedInfo().Config.Name, classify(err))
		}
		out = append(out, bus.StreamInfo{
			Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
			First: info.State.FirstSeq, Last: info.State.LastSeq, Created: info.Created,
		})
	}
	return out, nil
}

// Close ends the connection.
func (c *Conn) Close() { c.nats.Close() }
