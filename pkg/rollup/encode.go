package rollup

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// An encoded event is a version byte, the accuracy and then, as variable-length numbers: the range, the gaps, a table
// of the names that occur, the batches, and the summaries in the order of their keys. JSON would be several times as
// large, and events are kept for years.

// Encode returns the event as bytes: the same for equal events.
func Encode(e Event) []byte {
	names := e.names()
	place := map[string]uint64{}
	for i, n := range names {
		place[n] = uint64(i)
	}
	w := writer{out: []byte{Version}}
	w.out = binary.BigEndian.AppendUint64(w.out, math.Float64bits(Accuracy))
	w.number(uint64(e.Stream), e.First, e.Last, uint64(e.Until.UnixNano()))
	w.number(uint64(len(e.Gaps)))
	for _, g := range e.Gaps {
		w.number(uint64(g.From.UnixNano()), uint64(g.To.Sub(g.From)))
	}
	w.number(uint64(len(names)))
	for _, n := range names {
		w.text(n)
	}
	w.number(uint64(len(e.Batches)))
	for _, b := range e.Batches {
		w.number(place[b.Agent], b.Epoch, b.First, b.Last-b.First)
	}
	keys := slices.SortedFunc(maps.Keys(e.Summaries), compareKeys)
	w.number(uint64(len(keys)))
	hour := int64(0)
	for _, k := range keys {
		w.number(uint64(k.Hour-hour), place[k.Check], place[k.Region])
		w.summary(e.Summaries[k], place)
		hour = k.Hour
	}
	return w.out
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Region, b.Region))
}

// names lists the names that occur in the event, sorted.
func (e Event) names() []string {
	found := map[string]bool{}
	for _, b := range e.Batches {
		found[b.Agent] = true
	}
	for k, s := range e.Summaries {
		found[k.Check], found[k.Region] = true, true
		for vantage := range s.Bad {
			found[vantage] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

type writer struct{ out []byte }

func (w *writer) number(numbers ...uint64) {
	for _, n := range numbers {
		w.out = binary.AppendUvarint(w.out, n)
	}
}

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	w.out = append(w.out, s...)
}

func (w *writer) summary(s Summary, place map[string]uint64) {
	w.number(s.Outcomes.Reachable, s.Outcomes.Slow, s.Outcomes.Unreachable, s.Outcomes.Inconclusive, s.Sent, s.Lost)
	w.number(uint64(len(s.Bad)))
	for _, vantage := range slices.Sorted(maps.Keys(s.Bad)) {
		w.number(place[vantage], s.Bad[vantage])
	}
	w.sketch(s.RTT)
}

func (w *writer) sketch(s Sketch) {
	w.number(uint64(len(s.bins)))
	before := int32(binMin)
	for _, b := range s.bins {
		w.number(uint64(b.index-before), b.count)
		before = b.index
	}
}

// Bounds of what is read. An event is never trusted.
const (
	SizeMax  = 8 << 20 // bytes: what the bus carries
	nameMax  = 1024    // bytes of a name
	countMax = 1 << 40 // of observations or probes
)

var errEncoding = errors.New("not an encoded rollup")

// Decode reads what Encode wrote. It refuses everything else, and other accuracies: their bins are not comparable.
func Decode(data []byte) (Event, error) {
	if len(data) > SizeMax || len(data) < 9 {
		return Event{}, fmt.Errorf("%w: %d bytes", errEncoding, len(data))
	}
	if data[0] != Version {
		return Event{}, fmt.Errorf("%w of version %d, but of %d", errEncoding, Version, data[0])
	}
	if a := math.Float64frombits(binary.BigEndian.Uint64(data[1:9])); a != Accuracy {
		return Event{}, fmt.Errorf("%w of accuracy %v, but of %v", errEncoding, Accuracy, a)
	}
	r := &reader{rest: data[9:]}
	e := Event{Stream: int64(r.number(math.MaxInt64)), First: r.number(math.MaxUint64), Last: r.number(math.MaxUint64)}
	e.Until = r.time()
	for range r.length(2) {
		from := r.time()
		e.Gaps = append(e.Gaps, Gap{from, from.Add(time.Duration(r.number(math.MaxInt64)))})
	}
	for range r.length(1) {
		r.names = append(r.names, r.text())
	}
	for range r.length(4) {
		b := Batches{Agent: r.name(), Epoch: r.number(math.MaxUint64), First: r.number(math.MaxUint64)}
		b.Last = b.First + r.number(math.MaxUint64-b.First)
		e.Batches = append(e.Batches, b)
	}
	r.summaries(&e)
	switch {
	case r.failed || len(r.rest) > 0:
		return Event{}, errEncoding
	case e.First > e.Last || !slices.IsSortedFunc(e.Batches, compareBatches):
		return Event{}, fmt.Errorf("%w: its range or order is impossible", errEncoding)
	}
	return e, nil
}

// reader reads numbers. After a failure it returns zeros.
type reader struct {
	rest   []byte
	names  []string
	failed bool
}

func (r *reader) number(most uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if r.failed || size <= 0 || n > most {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// length reads how many items follow, each of at least some bytes: no number makes the reader allocate more than the
// data has.
func (r *reader) length(itemBytes int) int {
	return int(r.number(uint64(len(r.rest) / itemBytes)))
}

func (r *reader) time() time.Time { return time.Unix(0, int64(r.number(math.MaxInt64))).UTC() }

func (r *reader) text() string {
	n := int(r.number(uint64(min(len(r.rest), nameMax))))
	if r.failed || n > len(r.rest) {
		r.failed = true
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) name() string {
	n := r.number(math.MaxInt32)
	if r.failed || n >= uint64(len(r.names)) {
		r.failed = true
		return ""
	}
	return r.names[n]
}

func (r *reader) summaries(e *Event) {
	const keyBytes, summaryBytes = 3, 8
	hour := int64(0)
	last := Key{Hour: -1}
	n := r.length(keyBytes + summaryBytes)
	for range n {
		hour += int64(r.number(math.MaxInt32))
		k := Key{hour, r.name(), r.name()}
		s := r.summary()
		if r.failed || compareKeys(last, k) >= 0 {
			r.failed = true
			return
		}
		if e.Summaries == nil {
			e.Summaries = make(map[Key]Summary, n)
		}
		e.Summaries[k], last = s, k
	}
}

func (r *reader) summary() Summary {
	var s Summary
	for _, n := range []*uint64{
		&s.Outcomes.Reachable, &s.Outcomes.Slow, &s.Outcomes.Unreachable, &s.Outcomes.Inconclusive, &s.Sent, &s.Lost,
	} {
		*n = r.number(countMax)
	}
	if n := r.length(2); n > 0 {
		s.Bad = map[string]uint64{}
		for range n {
			s.Bad[r.name()] = r.number(countMax)
		}
		r.failed = r.failed || len(s.Bad) != n
	}
	s.RTT = r.sketch()
	return s
}

func (r *reader) sketch() (s Sketch) {
	index, n := binMin, r.length(2)
	if n > 0 {
		s.bins = make([]bin, 0, n)
	}
	for i := range n {
		step := r.number(uint64(binMax - index))
		count := r.number(countMax)
		if r.failed || count == 0 || step == 0 && i > 0 {
			r.failed = true
			return s
		}
		index += int(step)
		s.bins = append(s.bins, bin{int32(index), count})
	}
	return s
}
