package main

import (
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	year     = 365 * 24 * time.Hour
	warmUp   = time.Minute      // of every world: the budget of rounds is then as a lossy network leaves it
	patience = 2 * time.Minute  // for the round of an episode: past the budget the first miss may not ask
	tilted   = 14 * time.Second // from a round on: two rounds that are closed five seconds apart
)

// effort is how much is simulated.
type effort struct {
	plain    time.Duration // of the quorum rule as it runs
	simple   time.Duration // of the simpler rules
	episodes int           // of importance sampling
	outages  int           // of each kind
}

// estimate is a rate with its bound.
type estimate struct {
	rate, bound float64 // per target-year; the 95 % upper bound
}

// result is how one rule did under one model.
type result struct {
	downs, partials estimate
	detections      []time.Duration
	missed, outages int
	extra           float64 // probes above the scheduled ones, as a share
}

// running is the quorum rule as it runs, without an outage: how often it asks, what that costs, and what it says falsely.
type running struct {
	rounds, downs, partials, sent, planned int
	lasted                                 time.Duration
}

func run(p *plan, m model, seed uint64, lasting time.Duration) (out running) {
	f := newFates(m, newRandom(seed, 1))
	w := newWorld(p, f, 0)
	w.onTurn = func(v mesh.Verdict) {
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

// sums gathers weighted events.
type sums struct{ n, weight, square float64 }

func (s *sums) add(weight float64) { s.weight, s.square = s.weight+weight, s.square+weight*weight }

// mean is the probability and its one-sided 95 % upper bound by the normal approximation.
func (s sums) mean() (mean, bound float64) {
	const z = 1.645
	mean = s.weight / s.n
	variance := max(s.square/s.n-mean*mean, 0)
	return mean, mean + z*math.Sqrt(variance/s.n)
}

// episodes estimates how likely a round is to end in a false down or partial. Each begins with a lost probe: what is lost does
// not depend on what the mesh is doing, so that a miss meets the mesh as it is on average. The probes of k regions, drawn at random, are
// lost more often from the round's beginning on; the weight undoes that. k is drawn too: few regions make a false partial,
// most of them a false down.
func episodes(p *plan, m model, tilt float64, seed uint64, n int) (downs, partials, unity sums) {
	random := newRandom(seed, 2)
	voters := len(regions) - 1
	sizes := []int{2, voters - 1, voters}
	for range n {
		f := newFates(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		warm, end := w.now+warmUp, time.Duration(math.MaxInt64)
		var said mesh.Verdict
		w.onAsk = func() {
			if w.now < warm || end != math.MaxInt64 {
				return
			}
			end = w.now + tilted
			f.tilt = tilt
			for _, r := range random.Perm(voters)[:sizes[random.IntN(len(sizes))]] {
				f.tilted[r+1] = true
			}
		}
		w.onTurn = func(v mesh.Verdict) {
			if end != math.MaxInt64 && (v == mesh.Down || v == mesh.Partial) && said == "" {
				said = v
			}
		}
		w.miss = warm
		w.run(warm+patience, func() bool { return said != "" || w.now >= end })
		if end == math.MaxInt64 {
			continue // past the budget a miss does not ask
		}
		weight := 1 / density(f.ratio[1:], sizes)
		for _, s := range []*sums{&downs, &partials, &unity} {
			s.n++
		}
		unity.add(weight)
		switch said {
		case mesh.Down:
			downs.add(weight)
		case mesh.Partial:
			partials.add(weight)
		}
	}
	return downs, partials, unity
}

// tiltOf is the loss under which an edge turns bad more often than not: all of its probes are lost, probes of them.
func tiltOf(p *plan, m model) float64 {
	r := p.catalog.Rule
	probes := min(max(math.Ceil(math.Log(r.MissChance)/math.Log(min(max(m.loss, r.LossMin), r.LossMax))), float64(r.ProbesMin)), float64(r.ProbesMax))
	return math.Pow(0.7, 1/probes)
}

// density is that of the mixture over which regions are tilted, by the true one: the mean over sizes of the mean over sets.
func density(ratio []float64, sizes []int) float64 {
	total := 0.0
	for _, k := range sizes {
		total += symmetric(ratio, k) / binomial(len(ratio), k)
	}
	return total / float64(len(sizes))
}

// symmetric is the k-th elementary symmetric polynomial: the sum, over all sets of k, of their products.
func symmetric(x []float64, k int) float64 {
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

// duringBursts is how often a burst of the target's own uplink ends in a false down or partial.
func duringBursts(p *plan, m model, seed uint64, n int) (downs, partials int) {
	random := newRandom(seed, 3)
	for range n {
		f := newFates(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		from := w.now + warmUp
		f.bursts[0] = burst{from, from + exponential(random, m.burstFor)}
		w.onTurn = func(v mesh.Verdict) {
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

// poissonBound is the 95 % upper bound of a Poisson mean of which k events were seen.
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

// counted is a rate of plainly counted events.
func counted(k int, lasted time.Duration) estimate {
	years := float64(lasted) / float64(year)
	return estimate{float64(k) / years, poissonBound(k) / years}
}

// lastsFor is how long a simulated outage lasts: two intervals, and the time a look takes.
const lastsFor = 2*interval + 5*time.Second

// detect is how long the quorum rule takes to tell of outages that last, and how many it misses.
func detect(p *plan, m model, seed uint64, kind fault, n int) (took []time.Duration, missed int) {
	random := newRandom(seed, 4+uint64(kind))
	for range n {
		f := newFates(m, random)
		w := newWorld(p, f, time.Duration(random.Int64N(int64(interval))))
		from := w.now + warmUp + time.Duration(random.Int64N(int64(interval)))
		told := time.Duration(-1)
		w.broken = func(at time.Duration) fault {
			if at >= from {
				return kind
			}
			return works
		}
		w.onTurn = func(v mesh.Verdict) {
			if told < 0 && w.now >= from && (v == mesh.Down || v == mesh.Partial) {
				told = w.now - from
			}
		}
		w.run(from+lastsFor, func() bool { return told >= 0 })
		if told < 0 {
			missed++
		} else {
			took = append(took, told)
		}
	}
	return took, missed
}

// detectSimply is the same for the simpler rules.
func detectSimply(p *plan, rules []simple, m model, seed uint64, kind fault, n int) (took [][]time.Duration, missed []int) {
	random := newRandom(seed, 6+uint64(kind))
	took, missed = make([][]time.Duration, len(rules)), make([]int, len(rules))
	for range n {
		from := 2*interval + time.Duration(random.Int64N(int64(interval)))
		told := slices.Repeat([]time.Duration{-1}, len(rules))
		broken := func(at time.Duration) fault {
			if at >= from {
				return kind
			}
			return works
		}
		play(p, rules, newFates(m, random), 0, from+lastsFor, broken, func(r int, at time.Duration) {
			if told[r] < 0 && at >= from && at < from+lastsFor {
				told[r] = at - from
			}
		})
		for r := range rules {
			if told[r] < 0 {
				missed[r]++
			} else {
				took[r] = append(took[r], told[r])
			}
		}
	}
	return took, missed
}
