package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// ErrFenced says that another coordinator took the lead: this one must not write any more.
var ErrFenced = errors.New("another coordinator took the lead")

// Entry is one event to append to the ledger.
type Entry struct {
	Subject string // without the ledger's prefix
	ID      string // a repeat of it is dropped
	Data    []byte
}

// Record is one event of the ledger.
type Record struct {
	Sequence uint64
	Time     time.Time
	Subject  string // without the ledger's prefix
	Data     []byte
}

// lead writes this coordinator's epoch, on which everything it appends is conditional.
func (b *Coordinator) lead(ctx context.Context) error {
	ack, err := b.js.Publish(ctx, SubjectLedger+subjectEpoch, nil)
	if err != nil {
		return fmt.Errorf("take the lead: %w", err)
	}
	b.epoch = ack.Sequence
	return nil
}

// Append writes the events as one: all or none. It is nil too when the ledger already has them, and ErrFenced when another
// coordinator took the lead meanwhile.
func (b *Coordinator) Append(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	messages := make([]*nats.Msg, len(entries))
	for i, e := range entries {
		messages[i] = &nats.Msg{Subject: SubjectLedger + e.Subject, Data: e.Data, Header: nats.Header{nats.MsgIdHdr: {e.ID}}}
	}
	messages[0].Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(b.epoch, 10))
	messages[0].Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, SubjectLedger+subjectEpoch)
	_, err := jetstreamext.PublishMsgBatch(ctx, b.js, messages)
	return appended(err)
}

// appended tells the refusals of the server apart.
func appended(err error) error {
	const (
		wrongLastSequence         = 10071
		wrongLastSequenceConstant = 10164
		knownID                   = 10201
	)
	var refused *jetstream.APIError
	var extended jetstream.JetStreamError
	if errors.As(err, &extended) && extended.APIError() != nil {
		refused = extended.APIError()
	} else if !errors.As(err, &refused) {
		refused = &jetstream.APIError{}
	}
	switch {
	case err == nil || refused.ErrorCode == knownID:
		return nil
	case refused.ErrorCode == wrongLastSequence || refused.ErrorCode == wrongLastSequenceConstant:
		return ErrFenced
	}
	return fmt.Errorf("append to the ledger: %w", err)
}

// ReadLedger hands the ledger's events from the sequence on to fn, in order, up to the present end.
func (b *Coordinator) ReadLedger(ctx context.Context, from uint64, fn func(Record) error) error {
	info, err := b.ledger.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	if info.State.LastSeq < from || info.State.Msgs == 0 {
		return nil
	}
	end := errors.New("end")
	reader := &streamReader{conn: b.conn, stream: b.ledger, next: from}
	err = reader.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		r := Record{Sequence: at.Sequence.Stream, Time: at.Timestamp, Subject: strings.TrimPrefix(m.Subject, SubjectLedger), Data: m.Data}
		if err := fn(r); err != nil {
			return err
		}
		if r.Sequence >= info.State.LastSeq {
			return end
		}
		return nil
	})
	if errors.Is(err, end) {
		return nil
	}
	return err
}

// ErrNotThere says that the bucket holds no such key.
var ErrNotThere = errors.New("not there")

// Enrolment reads what the enrolment bucket holds under a key, with its revision.
func (b *Coordinator) Enrolment(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	entry, err := b.answers.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, ErrNotThere
	}
	if err != nil {
		return nil, 0, fmt.Errorf("enrolment %s: %w", key, err)
	}
	return entry.Value(), entry.Revision(), nil
}

// SetEnrolment writes the key where its revision is still the one given, 0 for a key that is not there.
func (b *Coordinator) SetEnrolment(ctx context.Context, key string, value []byte, revision uint64) error {
	if _, err := b.answers.Update(ctx, key, value, revision); err != nil {
		return fmt.Errorf("enrolment %s: %w", key, err)
	}
	return nil
}
