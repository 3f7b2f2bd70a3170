package meshtime

import "time"

// Message is what a search needs of a message of the stream.
type Message struct {
	Sequence uint64
	Stream   time.Time // its timestamp
	Mark     *Mark     // if it is a clock mark; nil otherwise
}

// Stream is a stream to search. Its messages are ordered by sequence and, since the clock may have been stepped, not by
// timestamp. The mesh times in its marks are ordered, so that Stream searches by marks.
type Stream struct {
	First, Last uint64 // sequences
	// Next returns the first message at or after a sequence, either of all messages or of clock marks only. It returns
	// false if there is none.
	Next func(sequence uint64, marks bool) (Message, bool, error)
}

// Position is where a reader starts: the sequence of its first message, and the clock with which it folds that.
type Position struct {
	Sequence uint64
	Clock    Clock
}

// Find returns the position from which a reader receives every message since a mesh time. It is some seconds earlier
// than necessary, since a mark may be stored after messages that its leader had not seen.
func (s Stream) Find(at time.Time) (Position, error) {
	at = at.Add(-AheadMax)
	start, err := s.first(s.First, s.Last+1, true, func(m Message) bool { return m.Mark.Now.After(at) })
	if err != nil {
		return Position{}, err
	}
	mark, clock, err := s.markBefore(start)
	if err != nil {
		return Position{}, err
	}
	// Up to the next mark, or to the end if there is none, the offset is that of the mark before.
	end := s.Last + 1
	if next, ok, err := s.Next(start, true); err != nil {
		return Position{}, err
	} else if ok {
		end = next.Sequence
	}
	if end-start <= unmarkedMax {
		return Position{max(start, 1), clock}, nil
	}
	sequence, err := s.first(start, end, false, func(m Message) bool { return !mark.Mesh(m.Stream).Before(at) })
	return Position{max(sequence, 1), clock}, err
}

// unmarkedMax is how many messages without a mark a reader reads from the first one on. A longer run of them, which
// was stored without a leader or by an early version, is searched by timestamps: a step back in such a run may hide
// messages that came before it, so this is the exception.
const unmarkedMax = 5000

// markBefore returns the last mark before a sequence that a search by marks returned, and a clock that starts after it;
// zero values if there is none.
func (s Stream) markBefore(sequence uint64) (Mark, Clock, error) {
	if sequence <= s.First {
		return Mark{}, Clock{}, nil
	}
	f, ok, err := s.Next(sequence-1, true)
	if err != nil || !ok || f.Sequence >= sequence {
		return Mark{}, Clock{}, err
	}
	return *f.Mark, StartAt(*f.Mark), nil
}

// first is a binary search. It returns the smallest sequence from which on the next message has a property or is not
// below to. The property must hold for all messages after the first one that has it. Sequences may have gaps, and with
// marks only marks count.
func (s Stream) first(from, to uint64, marks bool, has func(Message) bool) (uint64, error) {
	bound := to
	for from < to {
		middle := from + (to-from)/2
		f, ok, err := s.Next(middle, marks)
		if err != nil {
			return 0, err
		}
		if !ok || f.Sequence >= bound || has(f) {
			to = middle
		} else {
			from = f.Sequence + 1
		}
	}
	return from, nil
}

// stepsMax bounds over how many steps of the clock AtWall searches backwards.
const stepsMax = 100

// AtWall returns the mesh time at which the stream's wall clock showed a time. If it showed it twice, since it was
// stepped back, the result is the later one. If it never did, since it was stepped forward past it, it is the moment
// of the step.
func (s Stream) AtWall(wall time.Time) (time.Time, error) {
	now, _, err := s.End()
	if err != nil {
		return time.Time{}, err
	}
	// The offsets are visited from the newest to the oldest. Each was in force from its mark's From until the next one.
	end, until, newest, earlier := s.Last+1, now.Add(Patience), true, false
	var fallback time.Time
	for range stepsMax {
		mark, _, err := s.lastMark(end)
		if err != nil {
			return time.Time{}, err
		}
		begin, err := s.first(s.First, end, true, func(m Message) bool { return m.Mark.same(mark) })
		if err != nil {
			return time.Time{}, err
		}
		mesh, oldest := mark.Mesh(wall), begin <= s.First
		switch inForce := oldest || !wall.Before(mark.From); {
		case inForce && !mesh.After(until):
			return mesh, nil
		case inForce && newest:
			fallback = mesh // in the future
		case inForce && earlier:
			fallback = until // the step to the next offset skipped it
		}
		if oldest {
			break
		}
		end, until, newest, earlier = begin, mark.Mesh(mark.From), false, wall.Before(mark.From)
	}
	return fallback, nil
}

// lastMark returns the newest mark before a sequence, and a clock that starts after it; zero values if there is none.
func (s Stream) lastMark(end uint64) (Mark, Clock, error) {
	start, err := s.first(s.First, end, true, func(m Message) bool { return m.Sequence >= end })
	if err != nil {
		return Mark{}, Clock{}, err
	}
	return s.markBefore(start)
}

// End returns the mesh time of the newest message, and the mark in force there. A step of the clock since that mark is
// not considered.
func (s Stream) End() (now time.Time, m Mark, err error) {
	if m, _, err = s.lastMark(s.Last + 1); err != nil {
		return now, m, err
	}
	now = m.Now
	if f, ok, err := s.Next(s.Last, false); err != nil {
		return now, m, err
	} else if mesh := m.Mesh(f.Stream); ok && mesh.After(now) {
		now = mesh
	}
	return now, m, nil
}
