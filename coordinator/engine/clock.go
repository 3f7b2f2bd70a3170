package engine

import (
	"context"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

// message is a message of the stream with its mesh time.
type message struct {
	bus.Message
	at     time.Time     // mesh time
	offset time.Duration // at less the stream's timestamp, which is the wall clock
}

// dating converts the timestamps of the stream's messages to mesh time, in stream order. Every reader of the stream
// gets its mesh time here.
type dating struct {
	clock   meshtime.Clock
	waiting []bus.Message
}

// take adds a message and returns those that can be dated now: none while they wait for the leader's mark.
func (d *dating) take(m bus.Message) []message {
	var mark *meshtime.Mark
	if m.Kind == bus.ClockMark {
		if read, _, err := wire.DecodeClock(m.Data); err == nil {
			mark = &read
		}
	}
	d.waiting = append(d.waiting, m)
	moments := d.clock.Fold(m.Time, mark)
	out := make([]message, len(moments))
	for i, at := range moments {
		out[i] = message{d.waiting[i], at.Mesh, at.Offset()}
	}
	d.waiting = d.waiting[len(moments):]
	return out
}

// leading is the leader's view of the clock: the follower of the stream updates it, and the ticker writes it into the
// stream.
type leading struct {
	due chan struct{} // messages wait for a mark

	mu     sync.Mutex
	leader meshtime.Leader
	mark   meshtime.Mark
	known  bool          // the stream was read up to what was stored after the start
	at     time.Time     // the mesh time of the newest message
	seen   time.Time     // when that arrived, by this machine
	offset time.Duration // of it
}

func newLeading() *leading { return &leading{due: make(chan struct{}, 1)} }

// observe records the clock's state after a message. arrived is when the message arrived, by this machine's monotonic
// clock; live means that it was stored after this engine started.
func (l *leading) observe(d *dating, arrived time.Duration, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := l.leader.Observe(&d.clock, arrived, live)
	if l.known = l.known || live; !l.known {
		return // a replayed message does not show the present time
	}
	l.mark = l.leader.Mark(&d.clock)
	if !due {
		l.at, l.seen = d.clock.Now(), time.Now()
		l.offset = l.at.Sub(d.clock.Wall(l.at))
		return
	}
	select {
	case l.due <- struct{}{}:
	default:
	}
}

// next returns the mark to write; ok is false until one is known.
func (l *leading) next() (m meshtime.Mark, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mark, l.known
}

// now returns the current mesh time, which is the newest message's plus the time since it arrived, and the offset.
func (l *leading) now() (at time.Time, offset time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.seen.IsZero() {
		return l.at.Add(time.Since(l.seen)), l.offset // by the monotonic clock
	}
	at = time.Now().Add(l.offset)
	if least := l.mark.Now; at.Before(least) { // the wall clock was stepped back, and no message has shown it yet
		return least, time.Until(least)
	}
	return at, l.offset
}

// startClock sets where the replay begins, as a sequence and a mesh time, and the clock state at that place.
func (e *Engine) startClock(ctx context.Context) error {
	stream, err := e.Bus.Timeline(ctx)
	if err != nil {
		return err
	}
	now, mark, err := stream.End()
	if err != nil {
		return err
	}
	e.clock.mark = mark
	if e.judged.sequence, e.judged.at, err = e.View.Judged(ctx); err != nil {
		return err
	}
	// A recreated stream continues from the ledger's mesh time, since mesh time never decreases.
	e.clock.leader.Least = e.judged.at
	e.clock.mark.Now = later(now, e.judged.at)
	e.clock.offset = mark.At(time.Now())
	at, _ := e.clock.now()
	if !now.IsZero() && now.Before(at) {
		at = now
	}
	e.from = at.Add(-replay)
	place, err := stream.Find(e.from)
	if err != nil {
		return err
	}
	e.first, e.dating = place.Sequence, &dating{clock: place.Clock}
	return nil
}

// MeshTime returns the current mesh time, for durations that must stay correct when the wall clock is stepped.
func (e *Engine) MeshTime() time.Time {
	at, _ := e.clock.now()
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mark writes a tick into the stream. It carries the leader's offset, once that is known.
func (e *Engine) mark(ctx context.Context) (err error) {
	if m, ok := e.clock.next(); ok {
		_, err = e.Bus.MarkClock(ctx, m)
	} else {
		_, err = e.Bus.Mark(ctx, bus.Tick, e.markID(), nil)
	}
	return err
}
