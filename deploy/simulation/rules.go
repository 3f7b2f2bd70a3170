package main

import (
	"math/rand/v2"
	"time"
)

// simple is one of the four simpler rules. They decide by the last result of each vantage's scheduled probes, as most
// monitors do.
type simple struct {
	name    string
	retries int                    // after a lost probe, one second apart
	down    func(bad []bool) bool  // decides from the last results, by vantage
	only    func(vantage int) bool // selects the rule's vantages; nil: all
}

// simpleRules returns the rules that the quorum rule is compared with.
func simpleRules(p *plan) []simple {
	count := func(bad []bool) (n int) {
		for _, b := range bad {
			if b {
				n++
			}
		}
		return n
	}
	return []simple{
		{
			name: "one vantage, 3 retries", retries: 3,
			only: func(v int) bool { return v == 0 }, down: func(bad []bool) bool { return bad[0] },
		},
		{name: "any 2 of 9 vantages", down: func(bad []bool) bool { return count(bad) >= 2 }},
		{name: "majority of vantages' last results", down: func(bad []bool) bool { return 2*count(bad) > len(bad) }},
		{name: "majority of regions, no second look", down: func(bad []bool) bool {
			return badRegions(p, bad) > len(regions)/2
		}},
	}
}

// badRegions counts the regions in which the strict majority of vantages found the target bad.
func badRegions(p *plan, bad []bool) int {
	votes := make([]int, len(regions))
	for v, b := range bad {
		if b {
			votes[p.region[p.names[v]]]++
		} else {
			votes[p.region[p.names[v]]]--
		}
	}
	n := 0
	for _, v := range votes {
		if v > 0 {
			n++
		}
	}
	return n
}

// replay plays the same history of scheduled probes to all simple rules: in each interval every vantage probes once,
// at its phase of the schedule. faultAt returns the target's fault at a time; onDown is called when a rule turns
// down. extra counts the retries of each rule, scheduled the scheduled probes.
func replay(
	p *plan, rules []simple, f *losses, from, to time.Duration,
	faultAt func(time.Duration) fault, onDown func(rule int, at time.Duration),
) (extra []int, scheduled int) {
	bad := make([][]bool, len(rules))
	down := make([]bool, len(rules))
	for r := range rules {
		bad[r] = make([]bool, len(p.names))
	}
	order := vantagesByPhase(p)
	extra = make([]int, len(rules))
	for start := from.Truncate(interval); start < to; start += interval {
		for _, v := range order {
			at := start + p.duties[p.names[v]].Phase
			if at < from || at >= to {
				continue
			}
			f.advance(at)
			region := p.region[p.names[v]]
			failed := func(at time.Duration) bool {
				always := f.model.broken && v == 0
				return f.lost(region, at) || faultAt(at) != works || always
			}
			first := failed(at)
			scheduled++
			for r := range rules {
				if rules[r].only != nil && !rules[r].only(v) {
					continue
				}
				is, when := first, at
				for n := 0; is && n < rules[r].retries; n++ {
					when += time.Second
					extra[r]++
					is = failed(when)
				}
				bad[r][v] = is
				if now := rules[r].down(bad[r]); now != down[r] {
					if down[r] = now; now {
						onDown(r, when+answer(faultAt(when)))
					}
				}
			}
		}
	}
	return extra, scheduled
}

// answer returns how long a failed probe takes to fail: nothing if the target refuses, otherwise a timeout of a second.
func answer(is fault) time.Duration {
	if is == refuses {
		return 0
	}
	return time.Second
}

func vantagesByPhase(p *plan) []int {
	order := make([]int, len(p.names))
	for i := range order {
		order[i] = i
	}
	for i := range order { // a simple sort is enough for nine vantages
		for j := i + 1; j < len(order); j++ {
			if p.duties[p.names[order[j]]].Phase < p.duties[p.names[order[i]]].Phase {
				order[i], order[j] = order[j], order[i]
			}
		}
	}
	return order
}

// advance draws the bursts of every region's uplink up to the given time.
func (f *losses) advance(at time.Duration) {
	if f.model.burstEvery == 0 {
		return
	}
	for r := range f.bursts {
		for f.bursts[r].to <= at {
			from := f.bursts[r].to + exponential(f.random, f.model.burstEvery)
			f.bursts[r] = burst{from, from + exponential(f.random, f.model.burstFor)}
		}
	}
}

func newRandom(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
