package rollup

import (
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// MinuteKey says what a summary of one vantage's minute is about. Check and vantage are internal ids.
type MinuteKey struct {
	Minute         int64 // since 1970, by the wall clock
	Check, Vantage string
}

// MinuteOf returns the minute of a time of the wall clock.
func MinuteOf(wall time.Time) int64 { return wall.Unix() / 60 }

// Minutes folds the stream into minutes for each vantage. Its messages are those of a Builder, but it may begin
// elsewhere: minutes are stored apart from the events. It is not safe for concurrent use.
type Minutes struct {
	seen      seen
	through   uint64 // stored already up to this sequence
	summaries map[MinuteKey]Summary
}

// NewMinutes returns a fold of the messages after a sequence. The events, which end there or earlier, are those of the
// last two days; the messages between the last of them and the sequence must be added too.
func NewMinutes(before []Event, through uint64) *Minutes {
	m := &Minutes{seen: seen{}, through: through, summaries: map[MinuteKey]Summary{}}
	for _, e := range before {
		for _, b := range e.Batches {
			m.seen.addRange(b, e.Until)
		}
	}
	return m
}

// Add adds a message.
func (m *Minutes) Add(message Message, names Names) {
	if message.Batch == nil || !m.seen.add(message.Batch, message.At) || message.Sequence <= m.through {
		return
	}
	m.through = message.Sequence
	Each(message, names, func(check, vantage, _ string, wall time.Time, o mesh.Observation) {
		key := MinuteKey{MinuteOf(wall), check, vantage}
		s := m.summaries[key]
		s.Add(vantage, o)
		s.Bad = nil // the key says it
		m.summaries[key] = s
	})
}

// Pending returns what was added since the last cut. Nothing of it may be changed.
func (m *Minutes) Pending() map[MinuteKey]Summary { return m.summaries }

// Cut returns what was added since the last cut.
func (m *Minutes) Cut(now time.Time) map[MinuteKey]Summary {
	out := m.summaries
	m.summaries = map[MinuteKey]Summary{}
	m.seen.cut(now) // forgets
	return out
}
