package main

import (
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	year = 365 * 24 * time.Hour
	// warmUp is the beginning of every world, in which nothing is measured: afterwards the budget of rounds is in the
	// state that the network's loss keeps it in.
	warmUp = time.Minute
	// patience is how long an episode waits for its round: while the budget is used up, the first miss causes none.
	patience = 2 * time.Minute
	// tiltedFor is how long an episode runs from its round on: long enough for two rounds that end five seconds apart,
	// as a partial outage requires.
	tiltedFor = 14 * time.Second
)

// effort is the amount of simulation.
type effort struct {
	plain    time.Duration // simulated time of the quorum rule
	simple   time.Duration // simulated time of the simpler rules
	episodes int           // of importance sampling
	outages  int           // of each kind
}

// estimate is a rate with its bound.
type estimate struct {
	rate, bound float64 // per target-year; bound is the upper end of the 95 % confidence interval
}

// result is what was measured of one rule under one model.
type result struct {
	downs, partials estimate
	detections      []time.Duration
	missed, outages int
	extra           float64 // probes beyond the scheduled ones, as a share of those
}

// running is what was counted while the quorum rule ran without an outage. Its downs and partials are false.
type running struct {
	rounds, downs, partials, sent, planned int
	lasted                                 time.Duration
}

func run(p *plan, m model, seed uint64, lasting time.Duration) (out running) {
	f := newLosses(m, newRandom(seed, 1))
	w := newWorld(p, f, 0)
	w.onVerdict = func(v mesh.Verdict) {
		switch v {
		case mesh.Down:
			out.downs++
		case mesh.Partial:
			out.partials++
		}
	}
	w.run(lasting, func() bool { f.advance(w.now); return false })
	out.rounds, out.sent, out.planned, out.lasted = w.rounds, w.sent, w.planned, lasting
	return out
}

// sums accumulates weighted events.
type sums struct{ n, weight, square float64 }

func (s *sums) add(weight float64) { s.weight, s.square = s.weight+weight, s.square+weight*weight }

// mean returns the probability and its one-sided 95 % upper bound by the normal approximation.
func (s sums) mean() (mean, bound float64) {
	const z = 1.645
	mean = s.weight / s.n
	variance := max(s.square/s.n-mean*mean, 0)
	return mean, mean + z*math.Sqrt(variance/s.n)
}

// episodes estimates the probability that a round ends in a false down or partial, by importance sampling. Each episode
// begins with a lost probe. Losses do not depend on the state of the mesh, so that a lost probe meets the mesh in its
// average state. From the beginning of the round on, the probes of k regions, drawn at random, are lost more often; the
// weight corrects for that. k is drawn too: few bad regions cause a false partial, most of them a false down.
func episodes(p *plan, m model, tilt float64, seed uint64, n int) (downs, partials, unity sums) {
	random := newRandom(seed, 2)
	voters := len(regions) - 1
	sizes := []int{2, voters - 1, voters}
	for range n {
		f := newLosses(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		warm, end := w.now+warmUp, time.Duration(math.MaxInt64)
		var verdict mesh.Verdict
		w.onRound = func() {
			if w.now < warm || end != math.MaxInt64 {
				return
			}
			end = w.now + tiltedFor
			f.tilt = tilt
			for _, r := range random.Perm(voters)[:sizes[random.IntN(len(sizes))]] {
				f.tilted[r+1] = true
			}
		}
		w.onVerdict = func(v mesh.Verdict) {
			if end != math.MaxInt64 && (v == mesh.Down || v == mesh.Partial) && verdict == "" {
				verdict = v
			}
		}
		w.loseFirstAfter = warm
		w.run(warm+patience, func() bool { return verdict != "" || w.now >= end })
		if end == math.MaxInt64 {
			continue // the budget was used up and the miss caused no round: the rate of rounds accounts for that
		}
		weight := 1 / density(f.ratio[1:], sizes)
		for _, s := range []*sums{&downs, &partials, &unity} {
			s.n++
		}
		unity.add(weight)
		switch verdict {
		case mesh.Down:
			downs.add(weight)
		case mesh.Partial:
			partials.add(weight)
		}
	}
	return downs, partials, unity
}

// tiltOf returns a loss under which an edge turns bad with probability 0.7: an edge turns bad if all of its probes are
// lost, and their number depends on the loss that it expects.
func tiltOf(p *plan, m model) float64 {
	r := p.catalog.Rule
	loss := min(max(m.loss, r.LossMin), r.LossMax)
	probes := math.Ceil(math.Log(r.MissChance) / math.Log(loss))
	probes = min(max(probes, float64(r.ProbesMin)), float64(r.ProbesMax))
	return math.Pow(0.7, 1/probes)
}

// density returns the density of the mixture relative to that of the true model: the mean over sizes of the mean over
// all sets of tilted regions of that size.
func density(ratio []float64, sizes []int) float64 {
	total := 0.0
	for _, k := range sizes {
		total += elementarySymmetric(ratio, k) / binomial(len(ratio), k)
	}
	return total / float64(len(sizes))
}

// elementarySymmetric returns the k-th elementary symmetric polynomial: the sum, over all sets of k, of their products.
func elementarySymmetric(x []float64, k int) float64 {
	e := make([]float64, k+1)
	e[0] = 1
	for _, v := range x {
		for i := k; i > 0; i-- {
			e[i] += e[i-1] * v
		}
	}
	return e[k]
}

func binomial(n, k int) float64 {
	b := 1.0
	for i := range k {
		b *= float64(n-i) / float64(i+1)
	}
	return b
}

// duringBursts counts the bursts of the target's own uplink that end in a false down or partial.
func duringBursts(p *plan, m model, seed uint64, n int) (downs, partials int) {
	random := newRandom(seed, 3)
	for range n {
		f := newLosses(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		from := w.now + warmUp
		f.bursts[0] = burst{from, from + exponential(random, m.burstFor)}
		w.onVerdict = func(v mesh.Verdict) {
			switch v {
			case mesh.Down:
				downs++
			case mesh.Partial:
				partials++
			}
		}
		w.run(f.bursts[0].to+interval, func() bool { return false })
	}
	return downs, partials
}

// poissonBound returns the 95 % upper bound of a Poisson distribution's mean, of which k events were observed.
func poissonBound(k int) float64 {
	if k > 100 { // Wilson and Hilferty's approximation of the chi-squared distribution
		n, z := float64(k+1), 1.645
		return n * math.Pow(1-1/(9*n)+z/(3*math.Sqrt(n)), 3)
	}
	low, high := 0.0, 10*float64(k)+20
	for range 100 {
		mid := (low + high) / 2
		term, sum := math.Exp(-mid), 0.0
		for i := range k + 1 {
			sum += term
			term *= mid / float64(i+1)
		}
		if sum > 0.05 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// countedRate returns the rate of events that were plainly counted.
func countedRate(k int, lasted time.Duration) estimate {
	years := float64(lasted) / float64(year)
	return estimate{float64(k) / years, poissonBound(k) / years}
}

// outageLasts is how long a simulated outage lasts: two intervals, and the time of a series with all retries.
const outageLasts = 2*interval + 5*time.Second

// detect measures how long the quorum rule takes to detect outages, and counts those that it misses.
func detect(p *plan, m model, seed uint64, kind fault, n int) (delays []time.Duration, missed int) {
	random := newRandom(seed, 4+uint64(kind))
	for range n {
		f := newLosses(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		from := w.now + warmUp + time.Duration(random.Int64N(int64(interval)))
		detected := time.Duration(-1)
		w.faultAt = func(at time.Duration) fault {
			if at >= from {
				return kind
			}
			return works
		}
		w.onVerdict = func(v mesh.Verdict) {
			if detected < 0 && w.now >= from && (v == mesh.Down || v == mesh.Partial) {
				detected = w.now - from
			}
		}
		w.run(from+outageLasts, func() bool { return detected >= 0 })
		if detected < 0 {
			missed++
		} else {
			delays = append(delays, detected)
		}
	}
	return delays, missed
}

// detectSimple measures the same for the simpler rules.
func detectSimple(
	p *plan, rules []simple, m model, seed uint64, kind fault, n int,
) (delays [][]time.Duration, missed []int) {
	random := newRandom(seed, 6+uint64(kind))
	delays, missed = make([][]time.Duration, len(rules)), make([]int, len(rules))
	for range n {
		from := 2*interval + time.Duration(random.Int64N(int64(interval)))
		detected := slices.Repeat([]time.Duration{-1}, len(rules))
		broken := func(at time.Duration) fault {
			if at >= from {
				return kind
			}
			return works
		}
		replay(p, rules, newLosses(m, random), 0, from+outageLasts, broken, func(r int, at time.Duration) {
			if detected[r] < 0 && at >= from && at < from+outageLasts {
				detected[r] = at - from
			}
		})
		for r := range rules {
			if detected[r] < 0 {
				missed[r]++
			} else {
				delays[r] = append(delays[r], detected[r])
			}
		}
	}
	return delays, missed
}
