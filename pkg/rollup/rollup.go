// Package rollup summarizes observations by check, region and hour: how many had which outcome, how many probes were
// lost, and how long the answers took, as a DDSketch whose quantiles are accurate to Accuracy and which merges without
// loss.
//
// A Builder folds the stream of observations. Builder.Cut returns an Event, which covers a contiguous range of the
// stream and may touch several hours: batches that an agent spooled while NATS was away belong to the hour in which
// they were observed. The next event begins where the last one ended; Event.CheckFollows refuses every other one.
package rollup

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Version is the first byte of an encoded event.
const Version = 1

// Key says what a Summary is about. The check is named by its internal id, which survives renames.
type Key struct {
	Hour   int64 // since 1970, by the wall clock
	Check  string
	Region string // of the vantages
}

// HourOf returns the hour of a time of the wall clock.
func HourOf(wall time.Time) int64 { return wall.Unix() / 3600 }

// Outcomes is how many observations had each outcome.
type Outcomes struct {
	Reachable    uint64 `json:"reachable"`
	Slow         uint64 `json:"slow"`
	Unreachable  uint64 `json:"unreachable"`
	Inconclusive uint64 `json:"inconclusive"`
}

// Total counts all observations.
func (o Outcomes) Total() uint64 { return o.Reachable + o.Slow + o.Unreachable + o.Inconclusive }

func (o *Outcomes) add(other Outcomes) {
	o.Reachable += other.Reachable
	o.Slow += other.Slow
	o.Unreachable += other.Unreachable
	o.Inconclusive += other.Inconclusive
}

func (o *Outcomes) subtract(other Outcomes) {
	o.Reachable -= other.Reachable
	o.Slow -= other.Slow
	o.Unreachable -= other.Unreachable
	o.Inconclusive -= other.Inconclusive
}

// Summary is what was observed under a Key. Merging is commutative and associative.
type Summary struct {
	Outcomes   Outcomes
	Sent, Lost uint64            // probes
	RTT        Sketch            // of the observations with an answer
	Bad        map[string]uint64 // unreachable observations by the vantage's internal id; those without any are missing
}

// Add adds one observation of a vantage.
func (s *Summary) Add(vantage string, o mesh.Observation) {
	switch o.Outcome {
	case mesh.Reachable:
		s.Outcomes.Reachable++
	case mesh.Slow:
		s.Outcomes.Slow++
	case mesh.Unreachable:
		s.Outcomes.Unreachable++
		if s.Bad == nil {
			s.Bad = map[string]uint64{}
		}
		s.Bad[vantage]++
	default:
		s.Outcomes.Inconclusive++
		return // nothing was measured: the fault was ours
	}
	sent := max(o.Sent, 0)
	s.Sent += uint64(sent)
	s.Lost += uint64(min(max(o.Lost, 0), sent))
	if o.Outcome.Good() {
		s.RTT.Add(o.RTT)
	}
}

// Merge adds another summary, which is not changed.
func (s *Summary) Merge(o Summary) {
	s.Outcomes.add(o.Outcomes)
	s.Sent += o.Sent
	s.Lost += o.Lost
	s.RTT.Merge(o.RTT)
	for vantage, n := range o.Bad {
		if s.Bad == nil {
			s.Bad = map[string]uint64{}
		}
		s.Bad[vantage] += n
	}
}

// Sum returns both together. It may share their content: neither they nor the sum may be changed afterwards.
func Sum(a, b Summary) Summary {
	switch {
	case a.Outcomes.Total() == 0:
		return b
	case b.Outcomes.Total() == 0:
		return a
	case len(b.Bad) > 0:
		a.Bad = maps.Clone(a.Bad)
	}
	a.Merge(b)
	return a
}

// Subtract removes another summary, which was merged before and is not changed: what remains is as if it had not been.
func (s *Summary) Subtract(o Summary) {
	s.Outcomes.subtract(o.Outcomes)
	s.Sent -= o.Sent
	s.Lost -= o.Lost
	s.RTT.Subtract(o.RTT)
	for vantage, n := range o.Bad {
		if s.Bad[vantage] -= n; s.Bad[vantage] == 0 {
			delete(s.Bad, vantage)
		}
	}
}

// Worst returns the vantage with the most unreachable observations, the first by name of several; "" if there is none.
func (s Summary) Worst() (vantage string, bad uint64) {
	for v, n := range s.Bad {
		if n > bad || n == bad && v < vantage {
			vantage, bad = v, n
		}
	}
	return vantage, bad
}

// Loss returns the share of probes without an answer; 0 without probes.
func (s Summary) Loss() float64 {
	if s.Sent == 0 {
		return 0
	}
	return float64(s.Lost) / float64(s.Sent)
}

// Gap is a time, by the wall clock, in which nothing was stored: nobody judged then.
type Gap struct{ From, To time.Time }

// Batches are batches of an agent that an event contains, by their sequence within an epoch of the agent.
type Batches struct {
	Agent       string
	Epoch       uint64
	First, Last uint64
}

// Event is what the stream ROLLUP stores.
type Event struct {
	Stream      int64     // when the stream of observations was created, in nanoseconds since 1970: identifies it
	First, Last uint64    // the range of its sequences
	Until       time.Time // mesh time of the last message
	Gaps        []Gap
	Batches     []Batches // sorted by agent, epoch and sequence
	Summaries   map[Key]Summary
}

// Began returns the beginning of the event's first hour by the wall clock; zero without a summary.
func (e Event) Began() (at time.Time) {
	for k := range e.Summaries {
		if hour := time.Unix(k.Hour*3600, 0); at.IsZero() || hour.Before(at) {
			at = hour
		}
	}
	return at
}

// Subject is the part of an event's subject and message id that its range gives: the same for each attempt to store it.
func (e Event) Subject() string { return fmt.Sprintf("%d-%d-%d", e.Stream, e.First, e.Last) }

// ErrOverlap reports an event whose range another one covers already.
var ErrOverlap = errors.New("the event covers observations that another one covers")

// ErrHole reports an event that does not begin where the last one ended.
var ErrHole = errors.New("observations before the event are covered by none")

// CheckFollows returns ErrOverlap or ErrHole unless the event begins where the last one ended. Any event may follow
// one of another stream, and the zero Event.
func (e Event) CheckFollows(last Event) error {
	switch {
	case e.Stream != last.Stream:
		if e.Stream < last.Stream {
			return ErrOverlap // a stream that was replaced
		}
	case e.First <= last.Last:
		return ErrOverlap
	case e.First > last.Last+1:
		return ErrHole
	}
	return nil
}
