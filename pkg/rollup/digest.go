package rollup

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// EncodeSummary returns a summary as bytes, without the names that an event shares among its summaries.
func EncodeSummary(s Summary) []byte {
	names := slices.Sorted(maps.Keys(s.Bad))
	place := map[string]uint64{}
	w := writer{}
	w.number(uint64(len(names)))
	for i, n := range names {
		place[n] = uint64(i)
		w.text(n)
	}
	w.summary(s, place)
	return w.out
}

// DecodeSummary reads what EncodeSummary wrote at the beginning of data, and returns what follows it.
func DecodeSummary(data []byte) (s Summary, rest []byte, err error) {
	r := &reader{rest: data}
	for range r.length(1) {
		r.names = append(r.names, r.text())
	}
	s = r.summary()
	if r.failed {
		return Summary{}, nil, errEncoding
	}
	return s, r.rest, nil
}

// Digest is what a Summary tells a reader: counts and quantiles. It takes a third of its bytes, and cannot be merged.
type Digest struct {
	Outcomes           Outcomes
	Sent, Lost         uint64
	P50, P90, P95, P99 time.Duration // zero without an answer
	Worst              string        // see Summary.Worst
	Bad                uint64
}

// Digest returns the summary's digest.
func (s Summary) Digest() Digest {
	d := Digest{Outcomes: s.Outcomes, Sent: s.Sent, Lost: s.Lost}
	d.Worst, d.Bad = s.Worst()
	n := s.RTT.Count()
	if n == 0 {
		return d
	}
	below, at := uint64(0), 0
	for _, q := range []struct {
		of   float64
		into *time.Duration
	}{{0.5, &d.P50}, {0.9, &d.P90}, {0.95, &d.P95}, {0.99, &d.P99}} {
		rank := uint64(q.of * float64(n-1))
		for below+s.RTT.bins[at].count <= rank {
			below += s.RTT.bins[at].count
			at++
		}
		*q.into = values[int(s.RTT.bins[at].index)-binMin]
	}
	return d
}

// Join returns both together. Counts are exact; the quantiles are those of the part with more answers.
func (d Digest) Join(o Digest) Digest {
	a, b := d, o
	if a.Outcomes.Reachable+a.Outcomes.Slow < b.Outcomes.Reachable+b.Outcomes.Slow {
		a, b = b, a
	}
	a.Outcomes.add(b.Outcomes)
	a.Sent += b.Sent
	a.Lost += b.Lost
	if b.Bad > a.Bad {
		a.Worst, a.Bad = b.Worst, b.Bad
	}
	return a
}

// Answered reports whether there is a round-trip time.
func (d Digest) Answered() bool { return d.Outcomes.Reachable+d.Outcomes.Slow > 0 }

// Loss returns the share of probes without an answer; 0 without probes.
func (d Digest) Loss() float64 {
	if d.Sent == 0 {
		return 0
	}
	return float64(d.Lost) / float64(d.Sent)
}

// AppendDigest appends the digest as bytes.
func AppendDigest(data []byte, d Digest) []byte {
	w := writer{data}
	w.number(d.Outcomes.Reachable, d.Outcomes.Slow, d.Outcomes.Unreachable, d.Outcomes.Inconclusive, d.Sent, d.Lost)
	if d.Answered() {
		before := binMin
		for _, q := range []time.Duration{d.P50, d.P90, d.P95, d.P99} {
			index := binOf(q)
			w.number(uint64(index - before))
			before = index
		}
	}
	if d.Outcomes.Unreachable > 0 {
		w.number(d.Bad)
		w.text(d.Worst)
	}
	return w.out
}

var errDigest = errors.New("not an encoded digest")

// DecodeDigest reads what AppendDigest appended, at the beginning of data, and returns what follows it.
func DecodeDigest(data []byte) (d Digest, rest []byte, err error) {
	r := reader{rest: data}
	for _, n := range [...]*uint64{
		&d.Outcomes.Reachable, &d.Outcomes.Slow, &d.Outcomes.Unreachable, &d.Outcomes.Inconclusive, &d.Sent, &d.Lost,
	} {
		*n = r.number(countMax)
	}
	if d.Answered() {
		index := binMin
		for _, q := range [...]*time.Duration{&d.P50, &d.P90, &d.P95, &d.P99} {
			index += int(r.number(uint64(binMax - index)))
			*q = values[index-binMin]
		}
	}
	if d.Outcomes.Unreachable > 0 {
		d.Bad = r.number(countMax)
		d.Worst = r.text()
	}
	if r.failed {
		return Digest{}, nil, errDigest
	}
	return d, r.rest, nil
}
