// Package meshtime is the mesh's clock. The messages of the stream OBS carry the NATS server's wall clock, and an
// operator or NTP may step that clock at any moment, or between two starts. Verdicts need durations, so they are
// computed in mesh time: the server's timestamps plus an offset that absorbs the steps. People are shown the wall
// clock, which is mesh time less the offset.
//
// Clock is the only place that computes mesh time. It folds the messages of the stream in their order:
//
//   - Mesh time never decreases. A message that the present offset would date before the one before it was stored
//     after the clock was stepped back: the offset grows at once by the step, and mesh time goes on from where it
//     was. What is lost is the time between these two messages, a fraction of a second in a mesh that works.
//   - A timestamp far ahead has two readings: the clock was stepped forward, or nothing was stored for a while, as
//     during a restart. The stream does not tell which. The leader knows by its monotonic clock, so such messages
//     wait for its next mark, and the mark dates them. Dating them by a guess would be wrong for one of the two: a
//     step taken for a pause expires every vote, and a pause taken for a step dates what agents saw during it too
//     early. Where no mark comes within Patience, no leader was there to see a step, and it was a pause. A leap of
//     up to AheadMax is accepted as it is: it is shorter than what makes an agent silent or a vote expire.
//   - The leader writes its offset into the stream with each tick, so that a reader may start at any sequence: it
//     agrees with all others from the first mark on. A mark holds an absolute offset and the timestamp from which it
//     decays, so a mark that is repeated, lost or expired changes nothing.
//   - The offset decays towards zero by one part in Decay, so that mesh time returns to the wall clock, ten minutes
//     within a day, and no duration is off by more than one per cent.
//
// A reader that starts where no mark was written before has offset zero. Where that was wrong, its time may decrease
// once, at the first mark; Stream.Find tells where to start, so that no reader of this project does. A stream without
// marks, as earlier versions wrote it, has offset zero until a timestamp decreases.
//
// A leader cannot measure a step that came before it started. A step back shows in the stream all the same. A step
// forward is taken for a pause of the stream, which there was too. A machine that is suspended stops its monotonic
// clock, so its leader takes the suspension for a step forward, and mesh time catches up slowly.
package meshtime

import "time"

const (
	// AheadMax is how far a timestamp may be ahead of the message before it. It is longer than the leader's slowest
	// tick, and together with that shorter than the silence after which an agent counts as silent.
	AheadMax = 3 * time.Second
	// Patience bounds, in the stream's time, how long messages wait for a mark: five of the leader's slowest ticks.
	Patience = 10 * time.Second
	// WaitingMax bounds how many messages wait.
	WaitingMax = 1000
	// Decay is by how much slower or faster than the wall clock mesh time runs at most while there is an offset: one
	// part in so many.
	Decay = 125
	// Jitter is by how much timestamps may decrease without a step of the clock: the servers of a cluster take turns.
	Jitter = 100 * time.Millisecond
)

// Mark is what the leader writes into the stream: the offset in force.
type Mark struct {
	Offset time.Duration // mesh time less the stream's timestamps, at From
	From   time.Time     // the timestamp from which the offset decays
	Now    time.Time     // the leader's mesh time when it wrote the mark
}

// At is the offset at a timestamp of the stream.
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

// Mesh is the mesh time at a timestamp of the stream, where the mark is in force.
func (m Mark) Mesh(stream time.Time) time.Time { return stream.Add(m.At(stream)) }

// Wall is the timestamp of the stream at a mesh time, where the mark is in force: the inverse of Mesh.
func (m Mark) Wall(mesh time.Time) time.Time {
	stream := mesh.Add(-m.Offset)
	if past := stream.Sub(m.From); m.Offset > 0 && past > 0 {
		stream = m.From.Add(past + past/(Decay-1))
	} else if m.Offset < 0 && past > 0 {
		stream = m.From.Add(past - past/(Decay+1))
	}
	if m.At(stream) == 0 {
		return mesh
	}
	return stream
}

// same reports whether two marks date every message alike.
func (m Mark) same(o Mark) bool { return m.Offset == o.Offset && m.From.Equal(o.From) }

// Moment is when a message was stored, in both times.
type Moment struct {
	Mesh time.Time // never before that of the message before it
	Wall time.Time // the stream's timestamp, for people
}

// Offset is mesh time less the wall clock.
func (m Moment) Offset() time.Duration { return m.Mesh.Sub(m.Wall) }

// Clock folds the messages of the stream into mesh time. The zero value starts at any message. It is a value without
// pointers to shared state, and not safe for concurrent use.
type Clock struct {
	mark   Mark
	marked bool      // the stream has marks: a leader can date what leaps ahead
	stream time.Time // the newest timestamp that was dated
	now    time.Time
	held   []time.Time
	waited time.Duration
}

// StartAt returns a clock for a reader that starts just after a mark.
func StartAt(m Mark) Clock { return Clock{mark: m, marked: true} }

// Fold adds the next message, given by its timestamp and the mark in it, if any. It returns the moments at which the
// waiting messages and this one were stored, in their order; none while they wait for a mark.
func (c *Clock) Fold(stream time.Time, mark *Mark) []Moment {
	if len(c.held) > 0 && c.held[0].Sub(stream) > Jitter {
		return append(c.stand(), c.Fold(stream, mark)...) // the clock leapt ahead, and back again
	}
	if mark != nil && mark.Mesh(stream).Sub(mark.Now) <= AheadMax { // else its writer did not know yet that the clock had leapt
		return append(c.accept(*mark), c.step(stream, mark.Now))
	}
	if !c.waits(stream) {
		return []Moment{c.step(stream, time.Time{})}
	}
	if n := len(c.held); n > 0 {
		c.waited += min(max(stream.Sub(c.held[n-1]), 0), AheadMax)
	}
	c.held = append(c.held, stream)
	if c.waited < Patience && len(c.held) < WaitingMax {
		return nil
	}
	return c.release()
}

// accept puts a mark in force and dates what waited for it.
func (c *Clock) accept(m Mark) []Moment {
	if !c.marked && c.now.Sub(m.Now) > Jitter {
		c.now = m.Now // this reader started between two marks and knew no offset
	}
	c.mark, c.marked = m, true
	return c.release()
}

// waits reports whether a message without a mark cannot be dated yet.
func (c *Clock) waits(stream time.Time) bool {
	return c.marked && (len(c.held) > 0 || !c.stream.IsZero() && c.mark.Mesh(stream).Sub(c.now) > AheadMax)
}

// release dates the waiting messages by the mark in force.
func (c *Clock) release() []Moment {
	var out []Moment
	for _, stream := range c.held {
		out = append(out, c.date(stream))
	}
	c.held, c.waited = nil, 0
	return out
}

// step dates a message no earlier than least, and adjusts the offset if the clock was stepped back before it.
func (c *Clock) step(stream, least time.Time) Moment {
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

// stand dates the waiting messages at the current mesh time.
func (c *Clock) stand() []Moment {
	out := make([]Moment, len(c.held))
	for i, stream := range c.held {
		out[i] = Moment{c.now, stream}
	}
	c.held, c.waited = nil, 0
	return out
}

// Now is the mesh time of the newest message that was dated.
func (c *Clock) Now() time.Time { return c.now }

// Wall is what the stream's clock showed at a mesh time, by the offset in force.
func (c *Clock) Wall(mesh time.Time) time.Time { return c.mark.Wall(mesh) }

// Waiting reports whether messages wait for a mark.
func (c *Clock) Waiting() bool { return len(c.held) > 0 }
