// Package meshtime computes mesh time, in which all durations are measured. The messages of the stream OBS carry the
// wall clock of the NATS server. An operator or NTP may step that clock at any moment, also while nothing runs. Mesh
// time is the server's timestamp plus an offset that compensates the steps. People are shown the wall clock, which is
// mesh time less the offset.
//
// A reader of the stream passes every message to Clock.Fold, in order. The leader also uses Leader, which computes the
// marks that it writes. Stream searches a stream for the place to start at.
//
// Clock is the only place that computes mesh time:
//
//   - Mesh time never decreases. If the present offset would date a message before its predecessor, the wall clock was
//     stepped back between the two: the offset grows at once by the step, and mesh time continues from where it was.
//     The error is the true time between these two messages, a fraction of a second in a mesh that works.
//   - A timestamp far ahead of its predecessor has two explanations: the clock was stepped forward, or nothing was
//     stored for a while, as during a restart. The stream does not show which. The leader knows by its monotonic clock,
//     so such messages wait for its next mark, which dates them. A guess would be wrong in one of the two cases: a step
//     mistaken for a pause expires every vote, and a pause mistaken for a step dates too early what agents observed
//     during it. If no mark comes within Patience, there was no leader to see a step, and a pause is assumed. A jump of
//     up to AheadMax is accepted as it is: it is too short to make an agent silent or a vote expire.
//   - The leader writes its offset into the stream with each tick, so that a reader may start at any sequence: from the
//     first mark on it agrees with all others. A mark contains an absolute offset and the timestamp from which it
//     decays, so that a mark which is repeated, lost or expired changes nothing.
//   - The offset decays towards zero by one part in Decay, so that mesh time returns to the wall clock, by ten minutes
//     in a day, and no duration is wrong by more than one per cent.
//
// A reader that starts where no mark was written before has offset zero. If that is wrong, its time may decrease
// once, at the first mark. Stream.Find returns a start that avoids this. A stream without marks, as early versions
// wrote it, has offset zero until a timestamp decreases.
//
// A leader cannot measure a step that happened before it started. A step back shows in the stream all the same. A step
// forward counts as a pause of the stream, which there was too. A suspended machine stops its monotonic clock, so its
// leader treats the suspension as a step forward, and mesh time catches up slowly.
package meshtime

import "time"

const (
	// AheadMax is how far a message may be ahead of its predecessor without waiting for a mark. It is longer than the
	// leader's slowest tick, so that an idle stream never waits. Both together are shorter than the time after which
	// an agent counts as silent.
	AheadMax = 3 * time.Second
	// Patience bounds how long messages wait for a mark, in the stream's time: five of the leader's slowest ticks.
	Patience = 10 * time.Second
	// WaitingMax bounds how many messages wait for a mark, and so the memory of a Clock.
	WaitingMax = 1000
	// Decay limits how much slower or faster than the wall clock mesh time runs while there is an offset: by one part
	// in Decay, 0.8 per cent.
	Decay = 125
	// Jitter is how far timestamps may decrease without a step of the clock: another server of a cluster, whose clock
	// differs a little, may become the stream's leader.
	Jitter = 100 * time.Millisecond
)

// Mark is what the leader writes into the stream: the offset in force.
type Mark struct {
	Offset time.Duration // mesh time less the stream's timestamps, at From
	From   time.Time     // the timestamp from which the offset decays
	Now    time.Time     // the leader's mesh time when it wrote the mark
}

// At returns the offset at a timestamp of the stream.
func (m Mark) At(stream time.Time) time.Duration {
	if m.Offset == 0 {
		return 0
	}
	decayed := max(stream.Sub(m.From), 0) / Decay
	if m.Offset > 0 {
		return max(m.Offset-decayed, 0)
	}
	return min(m.Offset+decayed, 0)
}

// Mesh returns the mesh time at a timestamp of the stream while the mark is in force.
func (m Mark) Mesh(stream time.Time) time.Time { return stream.Add(m.At(stream)) }

// Wall returns the timestamp of the stream at a mesh time while the mark is in force: the inverse of Mesh.
func (m Mark) Wall(mesh time.Time) time.Time {
	stream := mesh.Add(-m.Offset)
	// Without decay, stream would be the result. Mesh time runs slower by one part in Decay while a positive offset
	// decays, and faster while a negative one does.
	if past := stream.Sub(m.From); m.Offset > 0 && past > 0 {
		stream = m.From.Add(past + past/(Decay-1))
	} else if m.Offset < 0 && past > 0 {
		stream = m.From.Add(past - past/(Decay+1))
	}
	if m.At(stream) == 0 { // the offset has decayed completely
		return mesh
	}
	return stream
}

// same reports whether two marks have the same offset at every timestamp.
func (m Mark) same(o Mark) bool { return m.Offset == o.Offset && m.From.Equal(o.From) }

// Moment is the time at which a message was stored, by both clocks.
type Moment struct {
	Mesh time.Time // never before that of the preceding message
	Wall time.Time // the stream's timestamp, for people
}

// Offset returns mesh time less the wall clock.
func (m Moment) Offset() time.Duration { return m.Mesh.Sub(m.Wall) }

// Clock folds the messages of the stream into mesh time. The zero value may start at any message. It is not safe for
// concurrent use.
type Clock struct {
	mark    Mark          // in force
	marked  bool          // the stream has marks, so a leader can date a message that is far ahead
	stream  time.Time     // timestamp of the newest dated message
	now     time.Time     // mesh time of the newest dated message
	waiting []time.Time   // timestamps of the messages that wait for a mark
	waited  time.Duration // how long they have waited, in the stream's time
}

// StartAt returns a clock for a reader whose first message is the one after a mark.
func StartAt(m Mark) Clock { return Clock{mark: m, marked: true} }

// Fold adds the next message, given by its timestamp and by the mark in it, or nil. It returns the moments of the
// waiting messages and of this one, in their order, or none while they wait for a mark.
func (c *Clock) Fold(stream time.Time, mark *Mark) []Moment {
	if len(c.waiting) > 0 && c.waiting[0].Sub(stream) > Jitter {
		// The wall clock was stepped forward and back again: no time passed meanwhile.
		return append(c.dateAllNow(), c.Fold(stream, mark)...)
	}
	// A mark whose own message is far ahead was written before its leader noticed the jump. It cannot date messages.
	if mark != nil && mark.Mesh(stream).Sub(mark.Now) <= AheadMax {
		return append(c.accept(*mark), c.dateNext(stream, mark.Now))
	}
	if !c.mustWait(stream) {
		return []Moment{c.dateNext(stream, time.Time{})}
	}
	if n := len(c.waiting); n > 0 {
		c.waited += min(max(stream.Sub(c.waiting[n-1]), 0), AheadMax)
	}
	c.waiting = append(c.waiting, stream)
	if c.waited < Patience && len(c.waiting) < WaitingMax {
		return nil
	}
	return c.dateAll()
}

// accept puts a mark in force and dates the messages that waited for it.
func (c *Clock) accept(m Mark) []Moment {
	if !c.marked && c.now.Sub(m.Now) > Jitter {
		c.now = m.Now // this reader started between two marks and assumed offset zero
	}
	c.mark, c.marked = m, true
	return c.dateAll()
}

// mustWait reports whether a message without a usable mark cannot be dated yet. Once one waits, all that follow do:
// their order must stay.
func (c *Clock) mustWait(stream time.Time) bool {
	if !c.marked {
		return false
	}
	return len(c.waiting) > 0 || !c.stream.IsZero() && c.mark.Mesh(stream).Sub(c.now) > AheadMax
}

// dateAll dates the waiting messages by the mark in force.
func (c *Clock) dateAll() []Moment {
	var out []Moment
	for _, stream := range c.waiting {
		out = append(out, c.date(stream))
	}
	c.waiting, c.waited = nil, 0
	return out
}

// dateNext dates a message no earlier than least, and adjusts the offset if the clock was stepped back before it.
func (c *Clock) dateNext(stream, least time.Time) Moment {
	if least.After(c.now) {
		c.now = least
	}
	if c.now.Sub(c.mark.Mesh(stream)) > Jitter {
		c.mark.Offset, c.mark.From = c.now.Sub(stream), stream
	}
	return c.date(stream)
}

// date dates a message by the mark in force.
func (c *Clock) date(stream time.Time) Moment {
	if mesh := c.mark.Mesh(stream); mesh.After(c.now) {
		c.now = mesh
	}
	c.stream = stream
	return Moment{c.now, stream}
}

// dateAllNow dates the waiting messages at the current mesh time.
func (c *Clock) dateAllNow() []Moment {
	out := make([]Moment, len(c.waiting))
	for i, stream := range c.waiting {
		out[i] = Moment{c.now, stream}
	}
	c.waiting, c.waited = nil, 0
	return out
}

// Now returns the mesh time of the newest message that was dated.
func (c *Clock) Now() time.Time { return c.now }

// Wall returns what the stream's wall clock showed at a mesh time, by the offset in force.
func (c *Clock) Wall(mesh time.Time) time.Time { return c.mark.Wall(mesh) }

// Waiting reports whether messages wait for a mark.
func (c *Clock) Waiting() bool { return len(c.waiting) > 0 }
