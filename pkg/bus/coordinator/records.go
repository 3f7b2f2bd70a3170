package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/bus"
)

// Records is a stream of records that can be erased: one message for each random id, which is never replaced. A KV
// bucket cannot do that: what it purges stays on the disk.
type Records struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	prefix string // of the subjects
}

// recordStores are the streams of records.
type recordStores struct{ texts, people *Records }

// Texts are what people wrote.
func (s *recordStores) Texts() *Records { return s.texts }

// People are the records of operators and subscribers.
func (s *recordStores) People() *Records { return s.people }

// openRecords creates a stream of records.
func openRecords(
	ctx context.Context, conn *nats.Conn, js jetstream.JetStream, name, description, prefix string,
) (*Records, error) {
	s, err := openStream(ctx, js, jetstream.StreamConfig{
		Name: name, Description: description, Subjects: []string{prefix + "*"},
		// An id's second message is refused: it would remove the first one without erasing it.
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxBytes: -1,
		Storage: jetstream.FileStorage, Duplicates: obsDedup,
	})
	if err != nil {
		return nil, err
	}
	return &Records{conn: conn, js: js, stream: s, prefix: prefix}, nil
}

// Put stores a record under a new id.
func (r *Records) Put(ctx context.Context, id string, data []byte) error {
	if err := bus.CheckName(id); err != nil {
		return err
	}
	if _, err := r.js.Publish(ctx, r.prefix+id, data, jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
		return fmt.Errorf("store a record: %w", classify(err))
	}
	return nil
}

// Get returns a record, or bus.ErrNotFound.
func (r *Records) Get(ctx context.Context, id string) ([]byte, error) {
	if err := bus.CheckName(id); err != nil {
		return nil, err
	}
	m, err := r.stream.GetLastMsgForSubject(ctx, r.prefix+id)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, bus.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("read a record: %w", classify(err))
	}
	return m.Data, nil
}

// Each calls fn for the records that there are when it is called, oldest first, until fn fails.
func (r *Records) Each(ctx context.Context, fn func(id string, data []byte) error) error {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the records: %w", classify(err))
	}
	if info.State.Msgs == 0 {
		return nil
	}
	end := errors.New("end")
	reader := &streamReader{conn: r.conn, stream: r.stream, next: info.State.FirstSeq}
	err = reader.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		if at.Sequence.Stream <= info.State.LastSeq {
			if err := fn(strings.TrimPrefix(m.Subject, r.prefix), m.Data); err != nil {
				return err
			}
		}
		// The last ones may have been erased: then nothing that follows has the last sequence.
		if at.Sequence.Stream >= info.State.LastSeq || at.NumPending == 0 {
			return end
		}
		return nil
	})
	if errors.Is(err, end) {
		return nil
	}
	return err
}

// Erase overwrites a record on the disk. A record that is gone already is no error. It reports whether it
// erased one of a stream with replicas: their servers' raft logs keep the record until they write their next snapshots.
func (r *Records) Erase(ctx context.Context, id string) (replicated bool, err error) {
	if err := bus.CheckName(id); err != nil {
		return false, err
	}
	m, err := r.stream.GetLastMsgForSubject(ctx, r.prefix+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err == nil {
		replicated = r.stream.CachedInfo().Config.Replicas > 1
		err = r.stream.SecureDeleteMsg(ctx, m.Sequence)
		if isGone(ctx, r.stream, m.Sequence, err) {
			return replicated, nil
		}
	}
	if err != nil {
		return replicated, fmt.Errorf("erase a record: %w", classify(err))
	}
	return replicated, nil
}
