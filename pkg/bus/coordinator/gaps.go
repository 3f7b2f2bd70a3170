package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
)

// scanIdle is how long a scan waits for the next message: the last ones of the stream may be unreadable, and then none
// comes.
const scanIdle = 15 * time.Second

// LedgerGaps returns what the ledger has lost by damage to its files. It reads the whole ledger, without its data: its
// messages are never deleted, so that each missing sequence is a loss, and the server's own count of a damaged block's
// messages may be wrong until they are read.
func (c *Conn) LedgerGaps(ctx context.Context) (out []bus.Gap, err error) {
	info, err := c.ledger.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", classify(err))
	}
	end := info.State.LastSeq
	if end == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(scanIdle, cancel)
	defer idle.Stop()
	done := errors.New("end")
	var read uint64 // the sequence of the last message that was read
	var at time.Time
	reader := &streamReader{conn: c.nats, stream: c.ledger, headersOnly: true}
	err = reader.each(ctx, func(_ *nats.Msg, m *nats.MsgMetadata) error {
		idle.Reset(scanIdle)
		if m.Sequence.Stream > read+1 {
			out = append(out, bus.Gap{Stream: info.Config.Name, First: read + 1, Last: m.Sequence.Stream - 1,
				After: at, Before: m.Timestamp})
		}
		if read, at = m.Sequence.Stream, m.Timestamp; read >= end {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		return out, fmt.Errorf("read the ledger: it ends at %d of %d: %w", read, end, classify(err))
	}
	return out, nil
}

// Heads returns how far each stream reaches. Of the enrolment bucket it returns the number of messages too: nothing
// removes one without writing another. The other streams may lose their oldest at any time.
func (c *Conn) Heads(ctx context.Context) ([]bus.StreamInfo, error) {
	out, err := c.Streams(ctx)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Messages = 0
	}
	name := "KV_" + c.enrolment.Bucket()
	s, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, classify(err))
	}
	info := s.CachedInfo()
	return append(out, bus.StreamInfo{
		Name: name, Messages: info.State.Msgs, Last: info.State.LastSeq, Created: info.Created,
	}), nil
}
