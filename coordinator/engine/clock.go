package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/wire"
)

// message is a message of the stream with its mesh time.
type message struct {
	bus.Message
	at     time.Time     // mesh time
	offset time.Duration // at less the stream's timestamp, which is the wall clock
	ahead  *readAhead    // the batch, if it was read already
}

// place is a place in the stream of observations. Its mesh time reveals a stream that was recreated and counts from 1
// again.
type place struct {
	sequence uint64
	at       time.Time
}

// covers reports whether the message is at the place or before it.
func (p place) covers(m message) bool { return m.Sequence <= p.sequence && !m.at.After(p.at) }

// dating converts the timestamps of the stream's messages to mesh time, in stream order. Every reader of the stream
// gets its mesh time here.
type dating struct {
	clock   meshtime.Clock
	waiting []bus.Message
}

// add adds a message and returns those that can be dated now: none while they wait for the leader's mark.
func (d *dating) add(m bus.Message) []message {
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
		out[i] = message{Message: d.waiting[i], at: at.Mesh, offset: at.Offset()}
	}
	d.waiting = d.waiting[len(moments):]
	return out
}

// Clock is the leader's mesh clock. The follower of the stream updates it, and the ticker writes it into the stream.
// It is safe for concurrent use.
type Clock struct {
	start replayStart
	due   chan struct{} // messages wait for a mark

	mu     sync.Mutex
	leader meshtime.Leader
	mark   meshtime.Mark
	known  bool          // the stream was read up to what was stored after the start
	at     time.Time     // the mesh time of the newest message
	seen   time.Time     // when that arrived, by this machine
	offset time.Duration // of it
	latest time.Time     // what Now returned last
}

// replayStart is where a start begins to replay the stream.
type replayStart struct {
	at       time.Time      // mesh time
	sequence uint64         // of the first message
	clock    meshtime.Clock // its state before that message
	judged   place          // the ledger's transitions were decided up to here
	silent   time.Time      // since when nothing is in the stream; zero if something is
}

// OpenClock reads the stream's end to learn the mesh time, and decides where the replay begins.
func OpenClock(ctx context.Context, b Bus, v *view.View) (*Clock, error) {
	stream, err := b.Timeline(ctx)
	if err != nil {
		return nil, err
	}
	now, mark, err := stream.End()
	if err != nil {
		return nil, err
	}
	c := &Clock{due: make(chan struct{}, 1), mark: mark}
	judged := &c.start.judged
	if judged.sequence, judged.at, err = v.Judged(ctx); err != nil {
		return nil, err
	}
	if now.IsZero() {
		c.start.silent = judged.at // it aged out, or was recreated: nobody knows what happened since
	}
	// A recreated stream continues from the ledger's mesh time, since mesh time never decreases.
	c.leader.Least = judged.at
	c.mark.Now = later(now, judged.at)
	c.offset = mark.At(time.Now())
	at, _ := c.Now()
	if !now.IsZero() && now.Before(at) {
		at = now // nothing was stored since, so the replay reaches as far back as if the coordinator had started then
	}
	c.start.at = at.Add(-replayed)
	found, err := stream.Find(c.start.at)
	if err != nil {
		return nil, err
	}
	c.start.sequence, c.start.clock = found.Sequence, found.Clock
	return c, nil
}

// observe records the clock's state after a message. arrived is when the message arrived, by this machine's monotonic
// clock; live means that it was stored after this engine started.
func (c *Clock) observe(d *dating, arrived time.Duration, live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := c.leader.Observe(&d.clock, arrived, live)
	if c.known = c.known || live; !c.known {
		return // a replayed message does not show the present time
	}
	c.mark = c.leader.Mark(&d.clock)
	if !due {
		c.at, c.seen = d.clock.Now(), time.Now()
		c.offset = c.at.Sub(d.clock.Wall(c.at))
		return
	}
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// next returns the mark to write; ok is false until one is known.
func (c *Clock) next() (m meshtime.Mark, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark, c.known
}

// latencyMax bounds the latency of a message. The stream's estimate of the present time changes by that much.
const latencyMax = time.Second

// Now returns the current mesh time, which is the newest message's plus the time since it arrived, and the offset:
// mesh time less the wall clock. It does not decrease when a message arrives later than those before it. A larger step
// back shows that this machine's wall clock was wrong before the first message, and must not stop the clock.
func (c *Clock) Now() (at time.Time, offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, offset = c.estimate()
	if back := c.latest.Sub(at); back > 0 && back < latencyMax {
		at = c.latest
	}
	c.latest = at
	return at, offset
}

// estimate returns the current mesh time by the newest message, or by the wall clock before the first one.
func (c *Clock) estimate() (at time.Time, offset time.Duration) {
	if !c.seen.IsZero() {
		return c.at.Add(time.Since(c.seen)), c.offset // by the monotonic clock
	}
	at = time.Now().Add(c.offset)
	if least := c.mark.Now; at.Before(least) { // the wall clock was stepped back, and no message has shown it yet
		return least, time.Until(least)
	}
	return at, c.offset
}

// MeshTime returns the current mesh time, for durations that must stay correct when the wall clock is stepped.
func (c *Clock) MeshTime() time.Time {
	at, _ := c.Now()
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tick marks the passing of time on the stream, which is the judge's only clock: at each tick, and at once when
// messages wait to be dated. It ends with bus.ErrFenced when another coordinator leads.
func (e *Engine) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickBusy)
	defer ticker.Stop()
	last, sampled := time.Now(), e.config.Logger.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			if !e.busy.Load() && now.Sub(last) < tickIdle {
				continue
			}
			last = now
		case <-e.config.Clock.due:
		}
		_, err := e.mark(ctx)
		if errors.Is(err, bus.ErrFenced) {
			return err
		}
		e.refusedTicks.note(err)
		if err != nil && ctx.Err() == nil {
			sampled.Warn().Err(err).Msg("stream does not accept ticks")
		}
	}
}

// mark writes a tick into the stream. It carries the leader's offset, once that is known.
func (e *Engine) mark(ctx context.Context) (sequence uint64, err error) {
	if m, ok := e.config.Clock.next(); ok {
		return e.config.Bus.MarkClock(ctx, m)
	}
	return e.config.Bus.Mark(ctx, bus.Tick, markID(), nil)
}
