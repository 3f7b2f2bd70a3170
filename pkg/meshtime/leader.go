package meshtime

import "time"

// stepLeast is how far a timestamp must be ahead of the leader's monotonic clock to count as a step of the wall clock
// and not as a late delivery.
const stepLeast = time.Second

// Leader computes the leader's next mark. It watches the clock that the leader itself folds, and the
// leader's monotonic clock. The zero value is a leader that just started.
type Leader struct {
	Least time.Time // mesh time is at least this, which an earlier stream reached

	arrived time.Duration // when the newest message that was dated arrived, by the monotonic clock
	live    bool          // it was stored while the leader watched
	due     Mark
	leapt   bool // due dates the waiting messages
}

// Observe notes a message that arrived at a moment of the monotonic clock, after the clock folded it. live means that
// it was stored after the leader started; otherwise its arrival is not evidence. It reports whether messages wait for
// a mark, which is then due at once.
func (l *Leader) Observe(c *Clock, arrived time.Duration, live bool) (due bool) {
	if !c.Waiting() {
		l.arrived, l.live, l.leapt = arrived, live, false
		return false
	}
	if !live {
		return false // a mark that dates it may still follow
	}
	stream := c.held[len(c.held)-1]
	l.due, l.leapt = c.mark, true
	elapsed := arrived - l.arrived
	if leap := stream.Sub(c.stream); l.live && leap-elapsed > stepLeast {
		l.due.Offset, l.due.From = c.now.Add(elapsed).Sub(stream), stream
	}
	l.due.Now = l.due.Mesh(stream)
	return true
}

// Mark returns the next mark to write.
func (l *Leader) Mark(c *Clock) Mark {
	if l.leapt {
		return l.due
	}
	m := c.mark
	m.Now = c.now
	if l.Least.After(m.Now) {
		m.Now = l.Least
	}
	return m
}
