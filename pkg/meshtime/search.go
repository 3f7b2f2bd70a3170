package meshtime

import "time"

// Message is a message that a search of the stream found.
type Message struct {
	Sequence uint64
	Stream   time.Time // its timestamp
	Mark     *Mark     // the mark in it, if it is a mark of the clock
}

// Stream is a stream to search. Messages are ordered by sequence, not by timestamp, since the clock may have been
// stepped.
type Stream struct {
	First, Last uint64
	// Next is the first message at or past a sequence, of all or of the clock's marks alone; false when there is none.
	Next func(sequence uint64, marks bool) (Message, bool, error)
}

// Position is where a reader starts: the sequence of its first message, and the clock at it.
type Position struct {
	Sequence uint64
	Clock    Clock
}

// Find returns the place from which a reader receives every message since a mesh time. It lies some seconds earlier,
// since a mark may be stored after messages that its writer had not seen.
func (s Stream) Find(at time.Time) (Position, error) {
	at = at.Add(-AheadMax)
	behind, err := s.first(s.First, s.Last+1, true, func(f Message) bool { return f.Mark.Now.After(at) })
	if err != nil {
		return Position{}, err
	}
	mark, clock, err := s.before(behind)
	if err != nil {
		return Position{}, err
	}
	// Between two marks, or where there are none at all, the offset is that of the mark before.
	end := s.Last + 1
	if next, ok, err := s.Next(behind, true); err != nil {
		return Position{}, err
	} else if ok {
		end = next.Sequence
	}
	if end-behind <= stretchMax {
		return Position{max(behind, 1), clock}, nil
	}
	sequence, err := s.first(behind, end, false, func(f Message) bool { return !mark.Mesh(f.Stream).Before(at) })
	return Position{max(sequence, 1), clock}, err
}

// stretchMax is how many messages without a mark a reader rather reads from their beginning on. Longer stretches,
// which nobody led or an earlier version wrote, are searched by their timestamps: a step back in one of them may hide
// what came before it.
const stretchMax = 5000

// before is the mark that is stored just before a sequence that a search by marks returned, and a clock that starts
// behind it.
func (s Stream) before(sequence uint64) (Mark, Clock, error) {
	if sequence <= s.First {
		return Mark{}, Clock{}, nil
	}
	f, ok, err := s.Next(sequence-1, true)
	if err != nil || !ok || f.Sequence >= sequence {
		return Mark{}, Clock{}, err
	}
	return *f.Mark, StartAt(*f.Mark), nil
}

// first is the smallest sequence of [from, to) at or past which the next message has the property or is not below to.
// The property must hold for all messages behind the first one that has it.
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

// segmentsMax bounds how many steps of the clock AtWall looks back over.
const segmentsMax = 100

// AtWall is the mesh time at which the stream's clock showed a time. Where it showed it twice, since it was stepped
// back in between, that is the later time; where it never did, since it was stepped over, it is the moment of the
// step.
func (s Stream) AtWall(wall time.Time) (time.Time, error) {
	now, _, err := s.End()
	if err != nil {
		return time.Time{}, err
	}
	// From the newest offset back: each was in force from its mark's From until the next one.
	end, until, newest, before := s.Last+1, now.Add(Patience), true, false
	var otherwise time.Time
	for range segmentsMax {
		mark, _, err := s.last(end)
		if err != nil {
			return time.Time{}, err
		}
		begins, err := s.first(s.First, end, true, func(f Message) bool { return f.Mark.same(mark) })
		if err != nil {
			return time.Time{}, err
		}
		mesh, oldest := mark.Mesh(wall), begins <= s.First
		switch started := oldest || !wall.Before(mark.From); {
		case started && !mesh.After(until):
			return mesh, nil
		case started && newest:
			otherwise = mesh // still to come
		case started && before:
			otherwise = until // stepped over
		}
		if oldest {
			break
		}
		end, until, newest, before = begins, mark.Mesh(mark.From), false, wall.Before(mark.From)
	}
	return otherwise, nil
}

// last is the newest mark before a sequence; the zero mark when there is none.
func (s Stream) last(end uint64) (Mark, Clock, error) {
	behind, err := s.first(s.First, end, true, func(f Message) bool { return f.Sequence >= end })
	if err != nil {
		return Mark{}, Clock{}, err
	}
	return s.before(behind)
}

// End is the mesh time of the newest message, and the mark in force there. It does not see a step of the clock since
// that mark.
func (s Stream) End() (now time.Time, m Mark, err error) {
	if m, _, err = s.last(s.Last + 1); err != nil {
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
