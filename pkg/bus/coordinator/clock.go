package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

// clockFence is the sequence of the newest clock mark, on which the next one is conditional.
type clockFence struct {
	mu       sync.Mutex
	known    bool
	sequence uint64
}

const subjectClock = bus.SubjectMark + string(bus.ClockMark)

// MarkClock appends the leader's clock mark to OBS and returns its sequence. It returns bus.ErrNotLeading before Lead,
// and bus.ErrFenced if another coordinator has written a mark since this one's last: that coordinator leads.
func (c *Conn) MarkClock(ctx context.Context, m meshtime.Mark) (sequence uint64, err error) {
	own := c.epoch.Load()
	if own == 0 {
		return 0, bus.ErrNotLeading
	}
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	data, err := wire.EncodeClock(m, own)
	if err != nil {
		return 0, err
	}
	if !c.clock.known { // the newest mark may be an earlier leader's
		if c.clock.sequence, _, err = c.lastClock(ctx); err != nil {
			return 0, err
		}
		c.clock.known = true
	}
	ack, err := c.js.Publish(ctx, subjectClock, data, jetstream.WithExpectLastSequencePerSubject(c.clock.sequence))
	if errors.Is(appendError(err), bus.ErrFenced) {
		last, epoch, readErr := c.lastClock(ctx)
		switch {
		case readErr != nil:
			return 0, readErr
		case epoch != own && last != 0:
			return 0, bus.ErrFenced
		}
		// The previous mark was stored and its acknowledgement lost, or all marks were purged.
		ack, err = c.js.Publish(ctx, subjectClock, data, jetstream.WithExpectLastSequencePerSubject(last))
	}
	if err != nil {
		return 0, fmt.Errorf("mark the clock: %w", classify(err))
	}
	c.clock.sequence = ack.Sequence
	return ack.Sequence, nil
}

// lastClock returns the sequence of the newest clock mark and its leader's epoch; zeros if there is none.
func (c *Conn) lastClock(ctx context.Context) (sequence, epoch uint64, err error) {
	raw, err := c.obs.GetLastMsgForSubject(ctx, subjectClock)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, 0, nil
	case err != nil:
		return 0, 0, fmt.Errorf("read the latest clock mark: %w", classify(err))
	}
	if _, epoch, err = wire.DecodeClock(raw.Data); err != nil {
		epoch = 0 // written by a version with another format
	}
	return raw.Sequence, epoch, nil
}

// Timeline returns OBS in the form that searches by mesh time use.
func (c *Conn) Timeline(ctx context.Context) (meshtime.Stream, error) {
	info, err := c.obs.Info(ctx)
	if err != nil {
		return meshtime.Stream{}, fmt.Errorf("stream OBS: %w", classify(err))
	}
	next := func(sequence uint64, marks bool) (meshtime.Message, bool, error) {
		return c.nextInTime(ctx, sequence, marks)
	}
	return meshtime.Stream{First: info.State.FirstSeq, Last: info.State.LastSeq, Next: next}, nil
}

// nextInTime returns the first message at or after a sequence: of all messages, or of the clock marks only.
func (c *Conn) nextInTime(ctx context.Context, sequence uint64, marks bool) (meshtime.Message, bool, error) {
	subject := ">"
	if marks {
		subject = subjectClock
	}
	raw, err := c.obs.GetMsg(ctx, max(sequence, 1), jetstream.WithGetMsgSubject(subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return meshtime.Message{}, false, nil
	case err != nil:
		return meshtime.Message{}, false, fmt.Errorf("search OBS: %w", classify(err))
	}
	f := meshtime.Message{Sequence: raw.Sequence, Stream: raw.Time}
	if raw.Subject == subjectClock {
		if m, _, err := wire.DecodeClock(raw.Data); err == nil {
			f.Mark = &m
		} else if marks {
			return c.nextInTime(ctx, raw.Sequence+1, marks)
		}
	}
	return f, true, nil
}
