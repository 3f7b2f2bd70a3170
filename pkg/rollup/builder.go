package rollup

import (
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// GapMin is the shortest silence of the stream that is a gap. The leader marks the time every two seconds, and a
	// crash of a stream's leader silences NATS for 15 s at most.
	GapMin = 20 * time.Second
	// CutAfter is how long after an hour has ended its event is made: most late observations have arrived by then, and
	// those that come later are in the next event. The stream keeps two days, so a restart loses nothing.
	CutAfter = 5 * time.Minute
	// summariesMax bounds an event. A mesh that has more in an hour gets several events.
	summariesMax = 20_000
	// memory is how long batches are remembered: as long as the stream keeps them, an agent can send one again.
	memory = 48 * time.Hour
)

// Message is one message of the stream of observations.
type Message struct {
	Sequence uint64
	At       time.Time     // mesh time
	Offset   time.Duration // At less the wall clock
	Batch    *mesh.Batch   // nil for a mark, and for a batch that is not admitted
}

// Names looks up internal ids in the catalog of the batch that is being added.
type Names interface {
	// Vantage returns the id of the host of the batch's agent, and its region; "" if it is unknown.
	Vantage() (id, region string)
	// CheckID returns the internal id of a check; "" if there is no such check.
	CheckID(host, check string) string
}

// Builder folds the stream into events. It is not safe for concurrent use.
type Builder struct {
	event Event
	began int64 // the hour of the first message
	now   time.Time
	seen  seen
}

// NewBuilder returns a builder for the stream that was created at a time. It continues after the last of the events,
// which are those of the last two days, oldest first; only their ranges and batches are used.
func NewBuilder(stream int64, before []Event) *Builder {
	b := &Builder{seen: seen{}}
	for _, e := range before {
		for _, batches := range e.Batches {
			b.seen.addRange(batches, e.Until)
		}
		b.event = Event{Last: e.Last, Until: e.Until, Stream: e.Stream}
	}
	last := b.event
	if last.Stream != stream {
		last.Last = 0
	}
	b.event = Event{Stream: stream, First: last.Last + 1, Last: last.Last, Until: last.Until}
	return b
}

// Next returns the sequence that follows what was added.
func (b *Builder) Next() uint64 { return b.event.Last + 1 }

// Add adds a message. Messages before Next are ignored: an event covers them. Sequences that are missing were removed
// from the stream, and belong to the range.
func (b *Builder) Add(m Message, names Names) {
	if m.Sequence < b.Next() {
		return
	}
	if last := b.event.Until; !last.IsZero() && m.At.Sub(last) >= GapMin {
		b.event.Gaps = append(b.event.Gaps, Gap{last.Add(-m.Offset), m.At.Add(-m.Offset)})
	}
	wall := m.At.Add(-m.Offset)
	if b.now.IsZero() {
		b.began = HourOf(wall)
	}
	b.event.Last, b.now = m.Sequence, wall
	if m.At.After(b.event.Until) { // a stream that lost its end is read again from its beginning
		b.event.Until = m.At
	}
	if m.Batch == nil || !b.seen.add(m.Batch, m.At) {
		return
	}
	b.addBatch(m, names)
}

func (b *Builder) addBatch(m Message, names Names) {
	Each(m, names, func(check, vantage, region string, wall time.Time, o mesh.Observation) {
		if b.event.Summaries == nil {
			b.event.Summaries = map[Key]Summary{}
		}
		key := Key{HourOf(wall), check, region}
		s := b.event.Summaries[key]
		s.Add(vantage, o)
		b.event.Summaries[key] = s
	})
}

// Each calls fn with the observations of a batch that count, and the time by the wall clock at which each ended.
func Each(m Message, names Names, fn func(check, vantage, region string, wall time.Time, o mesh.Observation)) {
	vantage, region := names.Vantage()
	if vantage == "" || region == "" {
		return
	}
	for _, o := range m.Batch.Observations {
		if o.Stage == mesh.Missed {
			continue // the result, which follows, has the same probes and the outcome
		}
		ended := o.Ended()
		check := names.CheckID(o.Host, o.Check)
		// An observation from before the memory or from after its arrival has a false time.
		if check == "" || m.At.Sub(ended) > memory || ended.Sub(m.At) > time.Minute {
			continue
		}
		fn(check, vantage, region, ended.Add(-m.Offset), o)
	}
}

// Pending calls fn with what the next event has so far. Nothing of it may be changed.
func (b *Builder) Pending(fn func(Key, Summary)) {
	for k, s := range b.event.Summaries {
		fn(k, s)
	}
}

// Due reports whether the event should be cut: its hour has ended, or it is large.
func (b *Builder) Due() bool {
	if b.now.IsZero() {
		return false
	}
	return HourOf(b.now.Add(-CutAfter)) > b.began || len(b.event.Summaries) >= summariesMax
}

// Cut returns the event up to the last message, and begins the next one; false if nothing was added.
func (b *Builder) Cut() (Event, bool) {
	if b.now.IsZero() {
		return Event{}, false
	}
	out := b.event
	out.Batches = b.seen.cut(out.Until)
	b.event = Event{Stream: out.Stream, First: out.Last + 1, Last: out.Last, Until: out.Until}
	b.now = time.Time{}
	return out, true
}

// endsMax is how many times a stream can lose its end and still be recognized by when it was created.
const endsMax = 1000

// StreamID identifies the stream of observations for the events that follow the last one: by when the stream was
// created, and how often it has lost its end since. Then sequences that an event covers are given to other messages, so
// that it counts as another stream and is read from its beginning; no batch is counted twice. An id is never smaller
// than that of an event before.
func StreamID(created int64, end uint64, last Event) int64 {
	same := created <= last.Stream && last.Stream < created+endsMax
	switch {
	case same && end >= last.Last:
		return last.Stream
	case created > last.Stream:
		return created
	}
	return last.Stream + 1
}
