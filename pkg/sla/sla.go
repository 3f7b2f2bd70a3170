// Package sla measures how long a check or a host was up, from what was published about it, and says what that means
// by the terms of a service level agreement. New builds a Timeline, Timeline.Measure returns the Times of a period, and
// Method turns them into an uptime, a target that was met or missed, and a credit.
//
// Everything is in whole seconds. A change to the worse counts from the second in which it began, a change to the
// better from the next one, so that rounding never hides an outage and never presents what is unknown as up.
package sla

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// State is what a second counts as. The order is that of badness: rounding and ties decide for the larger one.
type State uint8

// The states. The zero value is what is so before anything was published.
const (
	NoData State = iota // pending, unknown, or nobody was watching
	Up                  // degraded counts as up: it is slow, and available
	Partial
	Down
	Maintenance
)

// badness orders states for rounding and for ties. No data is worse than up.
var badness = [...]int{Up: 0, Maintenance: 1, NoData: 2, Partial: 3, Down: 4}

// OfVerdict returns what a check with the verdict counts as.
func OfVerdict(v mesh.Verdict) State {
	switch v {
	case mesh.Up, mesh.Degraded:
		return Up
	case mesh.Partial:
		return Partial
	case mesh.Down:
		return Down
	}
	return NoData
}

// OfStatus returns what a host with the status counts as.
func OfStatus(s mesh.Status) State {
	switch s {
	case mesh.Operational, mesh.DegradedPerformance:
		return Up
	case mesh.PartialOutage:
		return Partial
	case mesh.MajorOutage:
		return Down
	case mesh.UnderMaintenance:
		return Maintenance
	}
	return NoData
}

// Span is a published state and the time during which it was in force.
type Span struct {
	State State
	// Began is when the cause began, from which time counts; Published is when the state was published.
	Began, Published time.Time
	// Until is when the next state was published, or when the subject stopped being watched; zero while it is in
	// force.
	Until time.Time
}

// lasts is 0 for a span that another one superseded at the moment at which it was published, else 1.
func (s Span) lasts() int {
	if !s.Until.IsZero() && !s.Until.After(s.Published) {
		return 0
	}
	return 1
}

// Window is a stretch of time: a maintenance, or a gap in which nothing was judged.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Times are the seconds of a period. The five always add up to the period.
type Times struct {
	Up          int64 `json:"up"`
	Down        int64 `json:"down"`
	Partial     int64 `json:"partial"`
	Maintenance int64 `json:"maintenance"`
	NoData      int64 `json:"no_data"`
}

// Total returns the length of the period.
func (t Times) Total() int64 { return t.Up + t.Down + t.Partial + t.Maintenance + t.NoData }

// Plus returns the times of two periods together.
func (t Times) Plus(o Times) Times {
	return Times{t.Up + o.Up, t.Down + o.Down, t.Partial + o.Partial, t.Maintenance + o.Maintenance, t.NoData + o.NoData}
}

func (t *Times) add(s State, seconds int64) {
	switch s {
	case Up:
		t.Up += seconds
	case Down:
		t.Down += seconds
	case Partial:
		t.Partial += seconds
	case Maintenance:
		t.Maintenance += seconds
	default:
		t.NoData += seconds
	}
}

// segment is a stretch of whole seconds since 1970 in one state. Segments of a timeline are in order and touch.
type segment struct {
	from, to int64
	state    State
}

// Timeline is the state of a check or a host at every second. It is immutable.
type Timeline struct{ segments []segment }

// The times of a timeline that has no beginning and no end.
const (
	always = math.MinInt64
	never  = math.MaxInt64
)

// New returns the timeline of the spans, whose order does not matter. A gap hides what was published before it, since
// nobody knows whether that was still so; a maintenance hides both.
func New(spans []Span, maintenance, gaps []Window) Timeline {
	segments := join(spans)
	segments = cover(segments, gaps, NoData)
	return Timeline{cover(segments, maintenance, Maintenance)}
}

// change is a moment from which a state holds.
type change struct {
	at    time.Time
	state State
}

// join returns the segments of spans.
func join(spans []Span) []segment {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Span) int {
		// Of those published at one moment, as when two checks of a host recover together, that which lasts is the last.
		return cmp.Or(a.Published.Compare(b.Published), cmp.Compare(a.lasts(), b.lasts()),
			cmp.Compare(badness[a.State], badness[b.State]), a.Began.Compare(b.Began), a.Until.Compare(b.Until))
	})
	var changes []change
	for i, s := range spans {
		changes = append(changes, change{begin(s, changes), s.State})
		at := changes[len(changes)-1].at
		last := i+1 == len(spans)
		// A span that another one succeeds ends where that one began. Only a span without a successor ends by itself.
		if !s.Until.IsZero() && (last || spans[i+1].Published.After(s.Until)) {
			end := s.Until
			if end.Before(at) {
				end = at
			}
			changes = append(changes, change{end, NoData})
		}
	}
	segments := []segment{{always, never, NoData}}
	for _, c := range changes {
		end := &segments[len(segments)-1]
		at := max(round(c.at, badness[c.state] < badness[end.state]), end.from)
		end.to = at
		segments = append(segments, segment{at, never, c.state})
	}
	return slices.DeleteFunc(segments, func(s segment) bool { return s.from == s.to })
}

// begin returns when a span begins to count. A cause from before that of the published state before it contradicts it:
// what is worse then counts at once, and what is better only from when it was published, so that no outage vanishes.
func begin(s Span, before []change) time.Time {
	n := len(before)
	if n == 0 || s.Began.After(before[n-1].at) {
		return s.Began
	}
	if last := before[n-1]; badness[s.State] >= badness[last.state] || s.Published.Before(last.at) {
		return last.at
	}
	return s.Published
}

// round returns the second of a time, or the next one.
func round(t time.Time, up bool) int64 {
	second := t.Unix()
	if up && t.Nanosecond() > 0 {
		second++
	}
	return second
}

// cover puts windows over the segments. A gap is rounded to more seconds and a maintenance to fewer: neither may turn a
// second that was not up into a better one.
func cover(segments []segment, windows []Window, state State) []segment {
	var over []segment
	for _, w := range windows {
		from, to := round(w.From, state == Maintenance), round(w.To, state == NoData)
		if from < to {
			over = append(over, segment{from, to, state})
		}
	}
	slices.SortFunc(over, func(a, b segment) int { return cmp.Compare(a.from, b.from) })
	var out []segment
	for _, s := range segments {
		for len(over) > 0 && over[0].to <= s.from {
			over = over[1:]
		}
		for _, w := range over {
			if w.from >= s.to || s.from >= s.to {
				break
			}
			if w.to <= s.from {
				continue
			}
			if s.from < w.from {
				out = append(out, segment{s.from, w.from, s.state})
			}
			end := min(w.to, s.to)
			out = append(out, segment{max(s.from, w.from), end, state})
			s.from = end
		}
		if s.from < s.to {
			out = append(out, s)
		}
	}
	return out
}

// Measure returns the times of a period, from the second of its begin to that of its end. A period that ends before it
// begins is empty.
func (t Timeline) Measure(from, to time.Time) Times {
	var out Times
	begin, end := from.Unix(), to.Unix()
	first, _ := slices.BinarySearchFunc(t.segments, begin, func(s segment, at int64) int {
		return cmp.Compare(s.to, at)
	})
	for _, s := range t.segments[first:] {
		if s.from >= end {
			break
		}
		if seconds := min(s.to, end) - max(s.from, begin); seconds > 0 {
			out.add(s.state, seconds)
		}
	}
	return out
}
