package meshtime

import "time"

// stepMin is how far a timestamp must be ahead of the leader's monotonic clock to count as a step of the wall clock.
// What is less may be a late delivery.
const stepMin = time.Second

// Leader computes the marks that the leader writes. It compares the Clock that the leader folds with the leader's
// monotonic clock, which shows whether the wall clock was stepped. The zero value is a leader that has just started.
type Leader struct {
	Least time.Time // the mesh time that an earlier stream reached: Mark returns no earlier one

	arrived time.Duration // monotonic time at which the newest dated message arrived
	live    bool          // that message was stored after the leader started
	pending bool          // messages wait for a mark
	next    Mark          // the mark that dates them
}

// Observe records that a message arrived at a monotonic time. The caller has folded the message into c before. live
// means that it was stored after the leader started; the arrival of an older one, which is replayed, proves nothing.
// Observe reports whether messages wait for a mark, which the caller then writes at once.
func (l *Leader) Observe(c *Clock, arrived time.Duration, live bool) (due bool) {
	if !c.Waiting() {
		l.arrived, l.live, l.pending = arrived, live, false
		return false
	}
	if !live {
		return false // the mark of an earlier leader may still follow
	}
	stream := c.waiting[len(c.waiting)-1]
	l.next, l.pending = c.mark, true
	elapsed := arrived - l.arrived
	// Without live there is no arrival to compare with: the jump counts as a pause, and the offset stays.
	if jump := stream.Sub(c.stream); l.live && jump-elapsed > stepMin {
		l.next.Offset, l.next.From = c.now.Add(elapsed).Sub(stream), stream
	}
	l.next.Now = l.next.Mesh(stream)
	return true
}

// Mark returns the mark to write now.
func (l *Leader) Mark(c *Clock) Mark {
	if l.pending {
		return l.next
	}
	m := c.mark
	m.Now = c.now
	if l.Least.After(m.Now) {
		m.Now = l.Least
	}
	return m
}
