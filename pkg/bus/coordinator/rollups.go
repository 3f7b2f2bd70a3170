package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/bus"
)

const subjectRollupEpoch = bus.SubjectRollup + bus.RollupEpoch

// Rollups is the stream of hourly summaries. Only the leader appends to it.
type Rollups struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	epoch  atomic.Uint64 // the stream's sequence of this coordinator's epoch; 0 before lead
}

// rollupStore is the stream of summaries.
type rollupStore struct{ rollups *Rollups }

// Rollups are the hourly summaries of the observations.
func (s *rollupStore) Rollups() *Rollups { return s.rollups }

// openRollups creates the stream.
func openRollups(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Rollups, error) {
	s, err := openStream(ctx, js, jetstream.StreamConfig{
		Name: "ROLLUP", Description: "hourly summaries of the observations, kept for years",
		Subjects: []string{bus.SubjectRollup + ">"},
		// No limit but the disk's, as for the ledger: the server reserves what a limit promises.
		MaxBytes: -1, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage, Duplicates: obsDedup,
		Compression: jetstream.S2Compression, AllowDirect: true, DenyDelete: true,
	})
	if err != nil {
		return nil, err
	}
	return &Rollups{conn: conn, js: js, stream: s}, nil
}

// lead writes an epoch, on which every summary that this coordinator appends is conditional.
func (r *Rollups) lead(ctx context.Context) error {
	ack, err := r.js.Publish(ctx, subjectRollupEpoch, nil)
	if err != nil {
		return fmt.Errorf("become the leader: %w", classify(err))
	}
	r.epoch.Store(ack.Sequence)
	return nil
}

// State returns when the stream was created, which identifies it, and its last sequence.
func (r *Rollups) State(ctx context.Context) (created time.Time, last uint64, err error) {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("read the summaries: %w", classify(err))
	}
	return info.Created, info.State.LastSeq, nil
}

// Append appends a summary if the sequence is the last one that the stream has, and returns the summary's sequence. It
// returns bus.ErrNotLeading before this coordinator leads, bus.ErrFenced once another one does, and bus.ErrBehind if
// the stream has more than the sequence.
func (r *Rollups) Append(ctx context.Context, e bus.Entry, after uint64) (sequence uint64, err error) {
	epoch := r.epoch.Load()
	if epoch == 0 {
		return 0, bus.ErrNotLeading
	}
	m := &nats.Msg{Subject: bus.SubjectRollup + e.Subject, Data: e.Data, Header: nats.Header{
		nats.MsgIdHdr:                           {e.ID},
		jetstream.ExpectedLastSeqHeader:         {strconv.FormatUint(after, 10)},
		jetstream.ExpectedLastSubjSeqHeader:     {strconv.FormatUint(epoch, 10)},
		jetstream.ExpectedLastSubjSeqSubjHeader: {subjectRollupEpoch},
	}}
	ack, err := r.js.PublishMsg(ctx, m)
	if err == nil {
		return ack.Sequence, nil
	}
	if !errors.Is(appendError(err), bus.ErrFenced) {
		return 0, fmt.Errorf("append a summary: %w", classify(err))
	}
	last, readErr := r.stream.GetLastMsgForSubject(ctx, subjectRollupEpoch)
	switch {
	case readErr != nil:
		return 0, fmt.Errorf("append a summary: %w", classify(readErr))
	case last.Sequence != epoch:
		return 0, bus.ErrFenced
	}
	return 0, bus.ErrBehind
}

// Read calls fn for the summaries from the sequence on, in order, up to the end that the stream has when it is called.
// Epochs are among them, with the subject bus.RollupEpoch.
func (r *Rollups) Read(ctx context.Context, from uint64, fn func(bus.Record) error) error {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the summaries: %w", classify(err))
	}
	if info.State.LastSeq < from || info.State.Msgs == 0 {
		return nil
	}
	end := errors.New("end")
	reader := &streamReader{conn: r.conn, stream: r.stream, next: from}
	err = reader.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		err := fn(bus.Record{Sequence: at.Sequence.Stream, Time: at.Timestamp,
			Subject: strings.TrimPrefix(m.Subject, bus.SubjectRollup), Data: m.Data})
		if err == nil && at.Sequence.Stream >= info.State.LastSeq {
			err = end
		}
		return err
	})
	if errors.Is(err, end) {
		return nil
	}
	return err
}
