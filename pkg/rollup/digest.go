package rollup

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// EncodeSummary returns a summary as bytes: what is as usual takes none, and there are no names that an event shares
// among its summaries.
func EncodeSummary(s Summary) []byte {
	w := writer{}
	w.counts(s.Outcomes, s.Sent, s.Lost)
	if s.Outcomes.Unreachable > 0 {
		w.number(uint64(len(s.Bad)))
		for _, vantage := range slices.Sorted(maps.Keys(s.Bad)) {
			w.text(vantage)
			w.number(s.Bad[vantage])
		}
	}
	if s.Outcomes.Reachable+s.Outcomes.Slow > 0 {
		w.sketch(s.RTT)
	}
	return w.out
}

// DecodeSummary reads what EncodeSummary wrote at the beginning of data, and returns what follows it.
func DecodeSummary(data []byte) (s Summary, rest []byte, err error) {
	r := &reader{rest: data}
	r.counts(&s.Outcomes, &s.Sent, &s.Lost)
	if s.Outcomes.Unreachable > 0 {
		const vantageBytes = 2
		if n := r.length(vantageBytes); n > 0 {
			s.Bad = map[string]uint64{}
			for range n {
				s.Bad[r.text()] = r.number(countMax)
			}
			r.failed = r.failed || len(s.Bad) != n
		}
	}
	if s.Outcomes.Reachable+s.Outcomes.Slow > 0 {
		s.RTT = r.sketch()
	}
	if r.failed {
		return Summary{}, nil, errEncoding
	}
	return s, r.rest, nil
}

// SkipSummary returns what follows a summary that EncodeSummary wrote at the beginning of data. It checks less than
// DecodeSummary, and takes no memory.
func SkipSummary(data []byte) (rest []byte, err error) {
	r := reader{rest: data}
	var o Outcomes
	var sent, lost uint64
	r.counts(&o, &sent, &lost)
	if o.Unreachable > 0 {
		for range r.number(countMax) {
			r.skip(int(r.number(nameMax)))
			r.number(countMax)
			if r.failed {
				break
			}
		}
	}
	if o.Reachable+o.Slow > 0 {
		r.skipNumbers(2 * r.length(2))
	}
	if r.failed {
		return nil, errEncoding
	}
	return r.rest, nil
}

// skip skips bytes.
func (r *reader) skip(n int) {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return
	}
	r.rest = r.rest[n:]
}

// skipNumbers skips numbers without reading them.
func (r *reader) skipNumbers(n int) {
	at := 0
	for ; n > 0 && at < len(r.rest); at++ {
		if r.rest[at] < 0x80 { // the last byte of a number
			n--
		}
	}
	r.failed = r.failed || n > 0
	r.skip(at)
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

// HoursOfDay is how many digests EncodeDay takes.
const HoursOfDay = 24

// Bits of the byte before encoded counts: what is not as usual follows it.
const (
	hasSlow = 1 << iota
	hasUnreachable
	hasInconclusive
	hasSent // other than one probe for each observation
	hasLost // other than one for each unreachable observation
)

// EncodeDay returns the digests of the hours of a day as bytes, some ten for each. An hour without observations is left
// out.
func EncodeDay(hours *[HoursOfDay]Digest) []byte {
	place := map[string]uint64{}
	for i := range hours {
		if hours[i].Outcomes.Unreachable > 0 {
			place[hours[i].Worst] = 0
		}
	}
	w := writer{}
	w.number(uint64(len(place)))
	for i, name := range slices.Sorted(maps.Keys(place)) {
		place[name] = uint64(i)
		w.text(name)
	}
	for i := range hours {
		if hours[i].Outcomes.Total() > 0 {
			w.out = append(w.out, byte(i))
			w.digest(&hours[i], place)
		}
	}
	return w.out
}

// counts writes how many observations had which outcome, and how many probes were sent and lost.
func (w *writer) counts(o Outcomes, sent, lost uint64) {
	optional := [...]struct {
		bit    byte
		number uint64
		usual  bool
	}{
		{hasSlow, o.Slow, o.Slow == 0}, {hasUnreachable, o.Unreachable, o.Unreachable == 0},
		{hasInconclusive, o.Inconclusive, o.Inconclusive == 0}, {hasSent, sent, sent == o.Total()-o.Inconclusive},
		{hasLost, lost, lost == o.Unreachable},
	}
	bits := byte(0)
	for _, x := range optional {
		if !x.usual {
			bits |= x.bit
		}
	}
	w.out = append(w.out, bits)
	w.number(o.Reachable)
	for _, x := range optional {
		if !x.usual {
			w.number(x.number)
		}
	}
}

func (w *writer) digest(d *Digest, place map[string]uint64) {
	o := d.Outcomes
	w.counts(o, d.Sent, d.Lost)
	if o.Unreachable > 0 {
		w.number(d.Bad, place[d.Worst])
	}
	if d.Answered() {
		before := binMin
		for _, q := range [...]time.Duration{d.P50, d.P90, d.P95, d.P99} {
			index := binOf(q)
			w.number(uint64(index - before))
			before = index
		}
	}
}

var errDigests = errors.New("not the digests of a day")

// DecodeDay reads what EncodeDay wrote.
func DecodeDay(data []byte) (hours [HoursOfDay]Digest, err error) {
	r := &reader{rest: data}
	for range r.length(1) {
		r.names = append(r.names, r.text())
	}
	for len(r.rest) > 0 && !r.failed {
		n := r.rest[0]
		r.rest = r.rest[1:]
		if n >= HoursOfDay {
			r.failed = true
			break
		}
		r.digest(&hours[n])
	}
	if r.failed {
		return [HoursOfDay]Digest{}, errDigests
	}
	return hours, nil
}

// counts reads what writer.counts wrote.
func (r *reader) counts(o *Outcomes, sent, lost *uint64) {
	bits := byte(r.number(hasSlow | hasUnreachable | hasInconclusive | hasSent | hasLost))
	optional := func(bit byte, usual uint64) uint64 {
		if bits&bit == 0 {
			return usual
		}
		return r.number(countMax)
	}
	o.Reachable = r.number(countMax)
	o.Slow, o.Unreachable, o.Inconclusive = optional(hasSlow, 0), optional(hasUnreachable, 0), optional(hasInconclusive, 0)
	*sent = optional(hasSent, o.Total()-o.Inconclusive)
	*lost = optional(hasLost, o.Unreachable)
}

func (r *reader) digest(d *Digest) {
	r.counts(&d.Outcomes, &d.Sent, &d.Lost)
	o := d.Outcomes
	if o.Unreachable > 0 {
		d.Bad, d.Worst = r.number(countMax), r.name()
	}
	if d.Answered() {
		index := binMin
		for _, q := range [...]*time.Duration{&d.P50, &d.P90, &d.P95, &d.P99} {
			index += int(r.number(uint64(binMax - index)))
			*q = values[index-binMin]
		}
	}
}
