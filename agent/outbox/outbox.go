// Package outbox delivers an agent's batches to the stream. Live batches are published at once. Batches that could
// not be published at once wait on disk, or in memory while the disk fails, and follow as history: oldest first, at a
// limited rate, also after a restart.
//
// An Outbox belongs to one goroutine, which calls Put for each batch, Advance when NextWake says so, and Handle for
// every event it receives from Events. Publishing and disk access run in the background, so that none of these calls
// waits for them. Drain and Close end it.
package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Bus is what an outbox needs of NATS.
type Bus interface {
	// Send sends a message after those sent before it, and returns at once. wait returns nil when the stream has
	// stored the message, and an error when it has not or when that is unknown.
	Send(id string, headers map[string]string, data []byte) (wait func(ctx context.Context) error)
	// Connected returns when the present connection was made, and false while there is none.
	Connected() (since time.Time, ok bool)
}

// Config configures an outbox.
type Config struct {
	Bus Bus
	// Spool is where batches wait on disk. Without a directory they wait in memory alone.
	Spool  spool.Config
	Logger zerolog.Logger
}

// Batch is one encoded batch.
type Batch struct {
	ID     string    // the stream drops a second message with the same id
	Opened time.Time // when it was encoded
	Count  int       // observations in it; zero is a heartbeat, which is worth nothing later and never stored
	Data   []byte
}

// Stats describes what waits in an outbox and what it lost.
type Stats struct {
	Batches int    `json:"batches"`       // that the stream has not acknowledged
	Dropped uint64 `json:"dropped"`       // observations, since the outbox was opened
	Off     string `json:"off,omitempty"` // why batches wait in memory and not on disk; empty while the disk works
}

// Event is the result of work in the background. The owner passes it to Handle.
type Event struct {
	delivery *delivery
	history  bool  // the delivery was sent as history
	err      error // of the delivery
	job      *job
}

// delivery is a batch on its way to the stream.
type delivery struct {
	Batch
	earlier bool   // opened by an earlier process
	index   uint64 // in the spool; zero while it is not there
	queued  bool   // in the live or the history queue, or in flight
	stored  bool   // the stream has it
	failed  bool   // history: its latest attempt failed
}

// Outbox delivers batches. One goroutine owns it.
type Outbox struct {
	config  Config
	ctx     context.Context // of the work in the background
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	events  chan Event
	live    live
	history history
	disk    disk
	dropped uint64 // observations lost in memory or rejected; the spool counts its own
}

// eventsMax is how many results may wait for the owner before work in the background waits too.
const eventsMax = 64

// Open returns an outbox that also delivers what earlier processes left in the spool. It fails with spool.ErrLocked
// where another agent uses the directory; any other failure of the disk is logged, and the outbox works in memory
// until the disk recovers.
func Open(c Config) (*Outbox, error) {
	o := &Outbox{config: c, events: make(chan Event, eventsMax), disk: newDisk(c)}
	if err := o.disk.open(); err != nil {
		return nil, err
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o, nil
}

// Events receives the results of work in the background.
func (o *Outbox) Events() <-chan Event { return o.events }

// Stats returns what waits and what was lost.
func (o *Outbox) Stats() Stats {
	return Stats{Batches: o.disk.waiting(), Dropped: o.dropped + o.disk.stats.Dropped, Off: o.disk.off}
}

// Put adds a batch. Advance publishes it at once where there is a connection, and writes it to disk where it has
// observations.
func (o *Outbox) Put(b Batch) {
	d := &delivery{Batch: b}
	if b.Count > 0 {
		o.dropped += uint64(o.disk.add(d))
	}
	if o.connected() {
		if oldest := o.live.push(d); oldest != nil {
			o.disk.release(oldest)
		}
	}
}

// Advance publishes and writes what can be at this time.
func (o *Outbox) Advance(now time.Time) {
	if o.connected() {
		for d := o.live.next(now); d != nil; d = o.live.next(now) {
			o.publish(d, false, now)
		}
		o.publishHistory(now)
	} else {
		for _, d := range o.live.clear() {
			o.disk.release(d)
		}
	}
	if j := o.disk.nextJob(now, o.readsHistory(now)); j != nil {
		o.tasks.Go(func() {
			j.run(o.config.Spool)
			o.report(Event{job: j})
		})
	}
}

// NextWake returns when Advance has something to do that no event announces; the zero time means never.
func (o *Outbox) NextWake(now time.Time) time.Time {
	connected := o.connected()
	at := o.disk.nextWake(connected)
	if !connected {
		return at
	}
	at = earlier(at, o.live.nextWake(now))
	if len(o.history.queue) > 0 || o.disk.unread() || o.disk.failing() {
		at = earlier(at, o.history.nextWake(now))
	}
	return at
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Handle applies the result of work in the background.
func (o *Outbox) Handle(e Event, now time.Time) {
	switch {
	case e.job != nil:
		o.history.queue = append(o.history.queue, o.disk.finishJob(e.job, now)...)
		return
	case errors.Is(e.err, bus.ErrRefused): // it would be refused again
		o.config.Logger.Error().Err(e.err).Int("observations", e.delivery.Count).Msg("batch rejected by NATS")
		o.dropped += uint64(e.delivery.Count)
		e.err = nil
	}
	if e.history {
		o.historySent(e.delivery, e.err, now)
	} else {
		o.liveSent(e.delivery, e.err, now)
	}
}

func (o *Outbox) connected() bool {
	_, ok := o.config.Bus.Connected()
	return ok
}

// publish hands a batch to the bus. The result arrives as an event.
func (o *Outbox) publish(d *delivery, history bool, now time.Time) {
	wait := o.config.Bus.Send(d.ID, o.headers(d, now), d.Data)
	o.tasks.Go(func() { o.report(Event{delivery: d, history: history, err: wait(o.ctx)}) })
}

func (o *Outbox) report(e Event) {
	select {
	case o.events <- e:
	case <-o.ctx.Done():
	}
}

// headers state the age of a batch and of the connection. The coordinator counts no vote of a batch that is older
// than its connection, so one that was opened before must state a greater age, even where the wall clock was set back
// meanwhile.
func (o *Outbox) headers(d *delivery, now time.Time) map[string]string {
	since, ok := o.config.Bus.Connected()
	if !ok {
		since = now
	}
	age, link := now.Sub(d.Opened), now.Sub(since)
	if d.earlier || d.Opened.Before(since) {
		age = max(age, link+time.Microsecond)
	}
	return wire.EncodeHeaders(age, link)
}

const (
	drainMax  = time.Second // how long an agent that ends waits for the stream and the disk
	drainPoll = 20 * time.Millisecond
)

// Drain waits until everything that was put is published or on disk, but a second at most. It publishes no history,
// which the next process does. The owner handles no events meanwhile.
func (o *Outbox) Drain() {
	o.history.pauseUntil = time.Now().Add(time.Hour)
	timeout := time.NewTimer(drainMax)
	defer timeout.Stop()
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for o.Advance(time.Now()); o.draining(); o.Advance(time.Now()) {
		select {
		case <-timeout.C:
			return
		case e := <-o.events:
			o.Handle(e, time.Now())
		case <-poll.C: // the connection may be lost, which no event announces
		}
	}
}

func (o *Outbox) draining() bool {
	publishing := o.connected() && len(o.live.queue)+o.live.inFlight > 0
	return publishing || o.disk.working()
}

// Close ends the work in the background, writes what is left to the disk, and returns the spool. It must be the last
// call.
func (o *Outbox) Close() {
	o.cancel()
	o.tasks.Wait()
	o.disk.close()
}
