package outbox

import "time"

const (
	liveWindow = 8  // live batches in flight at once: an agent rarely opens more in one round trip
	liveMax    = 64 // live batches that wait; the oldest beyond become history

	// liveFor is how long a live batch is tried again before it becomes history. At the default interval no observation
	// counts as a vote for longer.
	liveFor   = 30 * time.Second
	liveRetry = 300 * time.Millisecond // after a failure: the stream's own, since there is a connection
)

// live holds the batches that are published at once.
type live struct {
	queue    []*delivery // oldest first
	inFlight int
	retryAt  time.Time
}

// push adds a batch. Beyond liveMax it returns the oldest, which is no longer live.
func (l *live) push(d *delivery) (oldest *delivery) {
	d.queued = true
	l.queue = append(l.queue, d)
	if len(l.queue) <= liveMax {
		return nil
	}
	return l.pop()
}

func (l *live) pop() *delivery {
	d := l.queue[0]
	l.queue = l.queue[1:]
	return d
}

// next returns the batch to publish now, which is then in flight, or nil.
func (l *live) next(now time.Time) *delivery {
	if l.inFlight >= liveWindow || len(l.queue) == 0 || now.Before(l.retryAt) {
		return nil
	}
	l.inFlight++
	return l.pop()
}

// clear returns the batches that wait, and forgets them.
func (l *live) clear() []*delivery {
	waiting := l.queue
	l.queue = nil
	return waiting
}

func (l *live) nextWake(now time.Time) (at time.Time) {
	if len(l.queue) > 0 && now.Before(l.retryAt) {
		at = l.retryAt
	}
	return at
}

// liveSent handles the result of a live batch.
func (o *Outbox) liveSent(d *delivery, err error, now time.Time) {
	o.live.inFlight--
	switch {
	case err == nil:
		o.disk.done(d)
	case d.Count > 0 && o.connected() && now.Sub(d.Opened) < liveFor:
		o.live.queue = append([]*delivery{d}, o.live.queue...)
		o.live.retryAt = now.Add(liveRetry)
	default: // it becomes history, or is forgotten where it is a heartbeat
		o.disk.release(d)
	}
}
