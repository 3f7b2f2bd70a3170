package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/probemesh/probemesh/pkg/bus"
)

const subjectEpoch = bus.SubjectLedger + "epoch"

// Lead makes this coordinator the leader: it writes a new epoch, on which every event that it appends is conditional.
// An earlier leader's writes fail with bus.ErrFenced from then on.
func (c *Conn) Lead(ctx context.Context) error {
	ack, err := c.js.Publish(ctx, subjectEpoch, nil)
	if err != nil {
		return fmt.Errorf("become the leader: %w", classify(err))
	}
	if err := c.rollups.lead(ctx); err != nil {
		return err
	}
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	c.clock.known = false // another leader may have marked the clock meanwhile
	c.epoch.Store(ack.Sequence)
	return nil
}

// Append writes the events in one transaction and returns the sequence of the last one; the others directly precede it.
// If the ledger has them already it returns 0 and no error. It returns bus.ErrNotLeading before Lead, and bus.ErrFenced
// once another coordinator leads.
func (c *Conn) Append(ctx context.Context, entries []bus.Entry) (last uint64, err error) {
	if len(entries) == 0 {
		return 0, nil
	}
	epoch := c.epoch.Load()
	if epoch == 0 {
		return 0, bus.ErrNotLeading
	}
	messages := make([]*nats.Msg, len(entries))
	for i, e := range entries {
		messages[i] = &nats.Msg{Subject: bus.SubjectLedger + e.Subject, Data: e.Data,
			Header: nats.Header{nats.MsgIdHdr: {e.ID}}}
	}
	messages[0].Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(epoch, 10))
	messages[0].Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, subjectEpoch)
	ack, err := jetstreamext.PublishMsgBatch(ctx, c.js, messages)
	if err == nil {
		return ack.Sequence, nil
	}
	if err = appendError(err); err != nil && !errors.Is(err, bus.ErrFenced) {
		return 0, fmt.Errorf("append to the ledger: %w", classify(err))
	}
	return 0, err
}

// ReadLedger calls fn for the ledger's events from the sequence on, in order, up to the end that the ledger has when it
// is called.
func (c *Conn) ReadLedger(ctx context.Context, from uint64, fn func(bus.Record) error) error {
	info, err := c.ledger.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", classify(err))
	}
	if info.State.LastSeq < from || info.State.Msgs == 0 {
		return nil
	}
	end := errors.New("end")
	reader := &streamReader{conn: c.nats, stream: c.ledger, next: from}
	err = reader.each(ctx, func(m *nats.Msg, at *nats.MsgMetadata) error {
		r := bus.Record{Sequence: at.Sequence.Stream, Time: at.Timestamp,
			Subject: strings.TrimPrefix(m.Subject, bus.SubjectLedger), Data: m.Data}
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

// Enrolment reads a key of the enrolment bucket and its revision. It returns bus.ErrNotFound if there is no such key.
func (c *Conn) Enrolment(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	entry, err := c.enrolment.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, bus.ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("enrolment %s: %w", key, classify(err))
	}
	return entry.Value(), entry.Revision(), nil
}

// SetEnrolment writes a key of the enrolment bucket if its revision is still the one given; 0 creates the key.
func (c *Conn) SetEnrolment(ctx context.Context, key string, value []byte, revision uint64) error {
	if _, err := c.enrolment.Update(ctx, key, value, revision); err != nil {
		return fmt.Errorf("enrolment %s: %w", key, classify(err))
	}
	return nil
}
