package rollup

import (
	"cmp"
	"slices"
	"time"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

// Accuracy is the relative error of a quantile. It is recorded in each event.
const Accuracy = 0.02

// Round-trip times beyond these bounds count as the bound, so that a sketch has fewer than six hundred bins.
const (
	rttMin = time.Microsecond
	rttMax = 10 * time.Minute
)

// bins maps a time in seconds to its bin.
var bins = func() *mapping.LogarithmicMapping {
	m, err := mapping.NewLogarithmicMapping(Accuracy)
	if err != nil {
		panic(err) // the accuracy is a constant between 0 and 1
	}
	return m
}()

var binMin, binMax = bins.Index(rttMin.Seconds()), bins.Index(rttMax.Seconds())

// values are the times in the middle of the bins from binMin on: reading a year computes quantiles by the thousand.
var values = func() []time.Duration {
	out := make([]time.Duration, binMax-binMin+1)
	for i := range out {
		out[i] = time.Duration(bins.Value(binMin+i) * float64(time.Second))
	}
	return out
}()

// Sketch is a distribution of round-trip times: a DDSketch. Its bins are those of package ddsketch; they are stored as
// a sorted slice, which is a tenth of the size of that package's sparse store and merges ten times as fast. The zero
// value is empty. A copy shares its content.
type Sketch struct{ bins []bin }

// bin is the number of times in one bin.
type bin struct {
	index int32
	count uint64
}

// binOf returns the bin of a time.
func binOf(d time.Duration) int { return bins.Index(min(max(d, rttMin), rttMax).Seconds()) }

// Add adds a time.
func (s *Sketch) Add(d time.Duration) { s.addBin(binOf(d), 1) }

func (s *Sketch) addBin(index int, count uint64) {
	at, found := slices.BinarySearchFunc(s.bins, int32(index), func(b bin, i int32) int { return cmp.Compare(b.index, i) })
	if found {
		s.bins[at].count += count
		return
	}
	s.bins = slices.Insert(s.bins, at, bin{int32(index), count})
}

// Merge adds another sketch, which is not changed.
func (s *Sketch) Merge(o Sketch) {
	if len(o.bins) == 0 {
		return
	}
	out := make([]bin, 0, len(s.bins)+len(o.bins))
	a, b := s.bins, o.bins
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].index < b[0].index:
			out, a = append(out, a[0]), a[1:]
		case a[0].index > b[0].index:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, bin{a[0].index, a[0].count + b[0].count})
			a, b = a[1:], b[1:]
		}
	}
	s.bins = append(append(out, a...), b...)
}

// Subtract removes another sketch, which was merged before and is not changed.
func (s *Sketch) Subtract(o Sketch) {
	if len(o.bins) == 0 {
		return
	}
	out := make([]bin, 0, len(s.bins))
	for _, b := range s.bins {
		if len(o.bins) > 0 && o.bins[0].index == b.index {
			b.count -= o.bins[0].count
			o.bins = o.bins[1:]
		}
		if b.count > 0 {
			out = append(out, b)
		}
	}
	s.bins = out
}

// Count returns how many times were added.
func (s Sketch) Count() (n uint64) {
	for _, b := range s.bins {
		n += b.count
	}
	return n
}

// Quantile returns a quantile, from 0 to 1, with a relative error of at most Accuracy; false if the sketch is empty.
func (s Sketch) Quantile(q float64) (time.Duration, bool) {
	n := s.Count()
	if n == 0 {
		return 0, false
	}
	rank := uint64(q * float64(n-1))
	below := uint64(0)
	for _, b := range s.bins {
		if below += b.count; below > rank {
			return values[int(b.index)-binMin], true
		}
	}
	return values[int(s.bins[len(s.bins)-1].index)-binMin], true
}
