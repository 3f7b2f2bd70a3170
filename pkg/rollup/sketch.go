package rollup

import (
	"slices"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
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

// Sketch is a distribution of round-trip times. The zero value is empty. A copy shares its content.
type Sketch struct{ sketch *ddsketch.DDSketch }

func (s *Sketch) make() {
	if s.sketch == nil {
		s.sketch = ddsketch.NewDDSketchFromStoreProvider(bins, store.SparseStoreConstructor)
	}
}

// Add adds a time.
func (s *Sketch) Add(d time.Duration) {
	s.make()
	s.addBin(bins.Index(min(max(d, rttMin), rttMax).Seconds()), 1)
}

func (s *Sketch) addBin(index int, count uint64) {
	s.make()
	s.sketch.GetPositiveValueStore().AddWithCount(index, float64(count))
}

// Merge adds another sketch, which is not changed.
func (s *Sketch) Merge(o Sketch) {
	if o.sketch == nil {
		return
	}
	s.make()
	// Counts are whole numbers far below 2^53, so that no order of merges loses any.
	s.sketch.GetPositiveValueStore().MergeWith(o.sketch.GetPositiveValueStore())
}

// Count returns how many times were added.
func (s Sketch) Count() uint64 {
	if s.sketch == nil {
		return 0
	}
	return uint64(s.sketch.GetCount())
}

// Quantile returns a quantile, from 0 to 1, with a relative error of at most Accuracy; false if the sketch is empty.
func (s Sketch) Quantile(q float64) (time.Duration, bool) {
	if s.sketch == nil {
		return 0, false
	}
	seconds, err := s.sketch.GetValueAtQuantile(q)
	if err != nil {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// bin is the number of times in one bin.
type bin struct {
	index int
	count uint64
}

// sorted returns the bins in order.
func (s Sketch) sorted() (out []bin) {
	if s.sketch == nil {
		return nil
	}
	s.sketch.GetPositiveValueStore().ForEach(func(index int, count float64) bool {
		out = append(out, bin{index, uint64(count)})
		return false
	})
	slices.SortFunc(out, func(a, b bin) int { return a.index - b.index })
	return out
}
