package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

// clockFence is the sequence of the newest mark of the clock, on which the next one is conditional.
type clockFence struct {
	mu       sync.Mutex
	known    bool
	sequence uint64
}

const subjectClock = SubjectMark + string(ClockMark)

// MarkClock appends the leader's clock mark to the stream and returns its sequence. It returns ErrFenced when another
// coordinator has written a mark since this one's last: that coordinator leads.
func (b *Coordinator) MarkClock(ctx context.Context, m meshtime.Mark) (sequence uint64, err error) {
	b.fence.mu.Lock()
	defer b.fence.mu.Unlock()
	data, err := wire.EncodeClock(m, b.epoch)
	if err != nil {
		return 0, err
	}
	if !b.fence.known { // the newest mark may be an earlier leader's
		if b.fence.sequence, _, err = b.lastClock(ctx); err != nil {
			return 0, err
		}
		b.fence.known = true
	}
	ack, err := b.js.Publish(ctx, subjectClock, data, jetstream.WithExpectLastSequencePerSubject(b.fence.sequence))
	if errors.Is(appended(err), ErrFenced) {
		last, epoch, readErr := b.lastClock(ctx)
		switch {
		case readErr != nil:
			return 0, readErr
		case epoch != b.epoch && last != 0:
			return 0, ErrFenced
		}
		// The mark before was stored and its acknowledgement lost, or all marks were purged.
		ack, err = b.js.Publish(ctx, subjectClock, data, jetstream.WithExpectLastSequencePerSubject(last))
	}
	if err != nil {
		return 0, fmt.Errorf("mark the clock: %w", err)
	}
	b.fence.sequence = ack.Sequence
	return ack.Sequence, nil
}

// lastClock returns the sequence of the newest clock mark and its leader's epoch; zeros when there is none.
func (b *Coordinator) lastClock(ctx context.Context) (sequence, epoch uint64, err error) {
	raw, err := b.obs.GetLastMsgForSubject(ctx, subjectClock)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, 0, nil
	case err != nil:
		return 0, 0, fmt.Errorf("read the clock's mark: %w", err)
	}
	if _, epoch, err = wire.DecodeClock(raw.Data); err != nil {
		epoch = 0 // written by a version with another format
	}
	return raw.Sequence, epoch, nil
}

// Timeline returns OBS in the form that searches by mesh time use.
func (b *Coordinator) Timeline(ctx context.Context) (meshtime.Stream, error) {
	info, err := b.obs.Info(ctx)
	if err != nil {
		return meshtime.Stream{}, fmt.Errorf("stream OBS: %w", err)
	}
	next := func(sequence uint64, marks bool) (meshtime.Found, bool, error) { return b.next(ctx, sequence, marks) }
	return meshtime.Stream{First: info.State.FirstSeq, Last: info.State.LastSeq, Next: next}, nil
}

// next returns the first message at or after a sequence: of all messages, or of the clock's marks only.
func (b *Coordinator) next(ctx context.Context, sequence uint64, marks bool) (meshtime.Found, bool, error) {
	subject := ">"
	if marks {
		subject = subjectClock
	}
	raw, err := b.obs.GetMsg(ctx, max(sequence, 1), jetstream.WithGetMsgSubject(subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return meshtime.Found{}, false, nil
	case err != nil:
		return meshtime.Found{}, false, fmt.Errorf("search OBS: %w", err)
	}
	f := meshtime.Found{Sequence: raw.Sequence, Stream: raw.Time}
	if raw.Subject == subjectClock {
		if m, _, err := wire.DecodeClock(raw.Data); err == nil {
			f.Mark = &m
		} else if marks {
			return b.next(ctx, raw.Sequence+1, marks)
		}
	}
	return f, true, nil
}
