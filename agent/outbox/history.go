package outbox

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/wire"
)

// History has a window and a rate of its own, so that live batches never wait behind it. Two hours of a ten-host mesh
// take three minutes, and ten agents at once are 200 small writes a second for the server, a tenth of what its disk
// can do. The first hundred batches, a few minutes' worth, are not limited: they should arrive before the verdicts
// that they date.
const (
	historyWindow   = 4
	historyInterval = time.Second / 20
	historyBurst    = 100
	historyRetry    = time.Second

	// historyMax is the age at which a batch is dropped. The stream discards messages at wire.AgeMax, and what is in
	// a batch is up to minutes older than the batch.
	historyMax = wire.AgeMax - time.Hour
)

// history holds the batches that are published later than they were opened.
type history struct {
	queue    []*delivery // read from the spool, oldest first
	inFlight []*delivery // in the order in which they were sent
	// failed is set when a batch in flight failed. To keep the order, nothing is sent until the results of all in
	// flight are known; then those that failed are sent again.
	failed     bool
	nextAt     time.Time // when the next batch may be sent without drawing on the burst
	pauseUntil time.Time // after a failure
}

// ready reports whether a batch may be sent now.
func (h *history) ready(now time.Time) bool {
	return h.open() && !now.Before(h.nextAt) && !now.Before(h.pauseUntil)
}

// open reports whether the window has room.
func (h *history) open() bool { return len(h.inFlight) < historyWindow && !h.failed }

// nextWake returns when the rate lets the next batch go; zero where it does already, or where only a result can.
func (h *history) nextWake(now time.Time) (at time.Time) {
	next := h.nextAt
	if next.Before(h.pauseUntil) {
		next = h.pauseUntil
	}
	if h.open() && now.Before(next) {
		at = next
	}
	return at
}

// sent counts a batch as in flight.
func (h *history) sent(d *delivery, now time.Time) {
	if full := now.Add(-historyBurst * historyInterval); h.nextAt.Before(full) {
		h.nextAt = full
	}
	h.nextAt = h.nextAt.Add(historyInterval)
	h.inFlight = append(h.inFlight, d)
}

// result counts a batch as no longer in flight. After a failure it waits for the others, and puts those that failed
// back in front of the queue.
func (h *history) result(d *delivery, failed bool, now time.Time) {
	d.failed, h.failed = failed, h.failed || failed
	h.inFlight = slices.DeleteFunc(h.inFlight, func(f *delivery) bool { return f.stored })
	if !h.failed || slices.ContainsFunc(h.inFlight, func(f *delivery) bool { return !f.failed }) {
		return
	}
	for _, f := range h.inFlight {
		f.failed = false
	}
	h.queue, h.inFlight, h.failed = append(h.inFlight, h.queue...), nil, false
	h.pauseUntil = now.Add(historyRetry)
}

func (o *Outbox) publishHistory(now time.Time) {
	for o.history.ready(now) {
		d := o.nextHistory()
		if d == nil {
			return
		}
		if now.Sub(d.Opened) > historyMax {
			o.dropped += uint64(d.Count)
			o.disk.done(d)
			continue
		}
		o.history.sent(d, now)
		o.publish(d, true, now)
	}
}

// nextHistory returns the oldest batch that is not in flight, or nil. Batches on disk are older than those in memory,
// which therefore wait until all on disk are read.
func (o *Outbox) nextHistory() *delivery {
	if len(o.history.queue) > 0 {
		d := o.history.queue[0]
		o.history.queue = o.history.queue[1:]
		return d
	}
	return o.disk.nextUnwritten()
}

// readsHistory reports whether more history should be read from the disk.
func (o *Outbox) readsHistory(now time.Time) bool {
	return o.connected() && len(o.history.queue) == 0 && o.history.ready(now)
}

// historySent handles the result of a batch of the history.
func (o *Outbox) historySent(d *delivery, err error, now time.Time) {
	if err == nil {
		o.disk.done(d)
	}
	o.history.result(d, err != nil, now)
}
