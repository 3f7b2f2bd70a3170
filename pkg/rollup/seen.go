package rollup

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// seen remembers which batches were counted. An agent that gets no acknowledgement sends a batch again, and the stream
// stores it twice once it has forgotten its id.
type seen map[agentEpoch]*epoch

type agentEpoch struct {
	agent string
	epoch uint64
}

// epoch are the batches of one start of an agent.
type epoch struct {
	ranges []span // those counted, in order, not touching
	fresh  []span // those counted since the last cut, the same
	latest time.Time
}

type span struct{ first, last uint64 }

// The memory of one agent is bounded: an agent that starts every second, or sends every second batch, is broken.
const (
	rangesMax = 1000
)

func (s seen) of(agent string, number uint64, at time.Time) *epoch {
	key := agentEpoch{agent, number}
	e := s[key]
	if e == nil {
		e = &epoch{}
		s[key] = e
	}
	e.latest = at
	return e
}

// add remembers a batch, and reports whether it is new.
func (s seen) add(b *mesh.Batch, at time.Time) bool {
	e := s.of(b.Agent, b.Epoch, at)
	if contains(e.ranges, b.Sequence) {
		return false
	}
	e.ranges = insert(e.ranges, span{b.Sequence, b.Sequence})
	e.fresh = insert(e.fresh, span{b.Sequence, b.Sequence})
	return true
}

func (s seen) addRange(b Batches, at time.Time) {
	e := s.of(b.Agent, b.Epoch, at)
	e.ranges = insert(e.ranges, span{b.First, b.Last})
}

// cut returns what was added since the last cut, and forgets epochs without a batch since the memory began.
func (s seen) cut(now time.Time) (out []Batches) {
	maps.DeleteFunc(s, func(_ agentEpoch, e *epoch) bool { return now.Sub(e.latest) > memory })
	for key, e := range s {
		for _, r := range e.fresh {
			out = append(out, Batches{key.agent, key.epoch, r.first, r.last})
		}
		e.fresh = nil
	}
	slices.SortFunc(out, compareBatches)
	return out
}

func compareBatches(a, b Batches) int {
	return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.First, b.First),
		cmp.Compare(a.Last, b.Last))
}

func contains(ranges []span, n uint64) bool {
	i, _ := slices.BinarySearchFunc(ranges, n, func(r span, n uint64) int { return cmp.Compare(r.last, n) })
	return i < len(ranges) && ranges[i].first <= n
}

// insert adds a range and joins it with those that it overlaps or touches. Beyond the bound the two oldest are joined:
// the batches between them, which never came, will not be counted.
func insert(ranges []span, r span) []span {
	touches := func(o span) bool {
		return o.first <= r.last && r.first <= o.last || o.last+1 == r.first || r.last+1 == o.first
	}
	i, _ := slices.BinarySearchFunc(ranges, r.first, func(o span, n uint64) int { return cmp.Compare(o.first, n) })
	for i > 0 && touches(ranges[i-1]) {
		i--
	}
	end := i
	for end < len(ranges) && touches(ranges[end]) {
		r.first, r.last = min(r.first, ranges[end].first), max(r.last, ranges[end].last)
		end++
	}
	ranges = slices.Replace(ranges, i, end, r)
	if len(ranges) > rangesMax {
		ranges[1].first = ranges[0].first
		ranges = ranges[1:]
	}
	return ranges
}
