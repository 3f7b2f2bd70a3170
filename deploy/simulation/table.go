package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// modelRows returns the rows of one model: the quorum rule, then the simpler ones.
func modelRows(m model, seed uint64, e effort) string {
	p := newPlan(m.loss)
	var out strings.Builder
	out.WriteString(row(m.name, "**quorum**", quorumRule(p, m, seed, e), true))
	rules := simpleRules(p)
	for r, result := range simplerRules(p, rules, m, seed, e) {
		out.WriteString(row("", rules[r].name, result, false))
	}
	return out.String()
}

// quorumRule measures the real rule. Its false verdicts are too rare to count. Without bursts, their rate is the
// number of rounds a year times the probability, from importance sampling, that a round ends in one. With bursts, the
// bursts of the target's own uplink contribute their number a year times the share of them that ends in one.
func quorumRule(p *plan, m model, seed uint64, e effort) (r result) {
	running := run(p, m, seed, e.plain)
	years := float64(running.lasted) / float64(year)
	rounds := float64(running.rounds) / years
	downs, partials, _ := episodes(p, m, tiltOf(p, m), seed, e.episodes)
	r.downs = rateOfRounds(rounds, downs, countedRate(running.downs, running.lasted))
	r.partials = rateOfRounds(rounds, partials, countedRate(running.partials, running.lasted))
	if m.burstEvery > 0 {
		d, q := duringBursts(p, m, seed, e.episodes)
		perYear := float64(year) / float64(m.burstEvery+m.burstFor)
		r.downs = r.downs.plus(perYear, d, e.episodes)
		r.partials = r.partials.plus(perYear, q, e.episodes)
	}
	for _, kind := range []fault{refuses, gone} {
		delays, missed := detect(p, m, seed, kind, e.outages)
		r.detections, r.missed, r.outages = append(r.detections, delays...), r.missed+missed, r.outages+e.outages
	}
	r.extra = float64(running.sent)/float64(running.planned) - 1
	return r
}

// rateOfRounds returns the rate of an event from the rate of rounds and its probability in one round. If importance
// sampling never saw the event it has no bound either: then the plain count bounds the rate.
func rateOfRounds(rounds float64, s sums, plain estimate) estimate {
	if s.weight == 0 {
		return plain
	}
	mean, bound := s.mean()
	return estimate{rounds * mean, rounds * bound}
}

func (e estimate) plus(perYear float64, k, n int) estimate {
	return estimate{e.rate + perYear*float64(k)/float64(n), e.bound + perYear*poissonBound(k)/float64(n)}
}

func simplerRules(p *plan, rules []simple, m model, seed uint64, e effort) []result {
	out := make([]result, len(rules))
	falls := make([]int, len(rules))
	fine := func(time.Duration) fault { return works }
	count := func(r int, _ time.Duration) { falls[r]++ }
	extra, scheduled := replay(p, rules, newLosses(m, newRandom(seed, 9)), 0, e.simple, fine, count)
	for r := range rules {
		out[r].downs = countedRate(falls[r], e.simple)
		out[r].extra = float64(extra[r]) / float64(scheduled)
		if rules[r].only != nil {
			out[r].extra *= float64(len(p.names)) // relative to the scheduled probes of its one vantage
		}
	}
	for _, kind := range []fault{refuses, gone} {
		delays, missed := detectSimple(p, rules, m, seed, kind, e.outages)
		for r := range rules {
			o := &out[r]
			o.detections = append(o.detections, delays[r]...)
			o.missed += missed[r]
			o.outages += e.outages
		}
	}
	return out
}

func row(network, rule string, r result, partials bool) string {
	partial := "–"
	if partials {
		partial = r.partials.String()
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %d of %d | %s / %s s | %.1f %% |\n",
		network, rule, r.downs.String(), partial, r.missed, r.outages,
		quantile(r.detections, 0.5), quantile(r.detections, 0.99), 100*r.extra)
}

// String returns the rate in 1,000 target-years, with its bound.
func (e estimate) String() string {
	const thousand = 1000
	if e.rate == 0 {
		return "< " + number(thousand*e.bound)
	}
	return fmt.Sprintf("%s (< %s)", number(thousand*e.rate), number(thousand*e.bound))
}

// number formats a number with two significant digits, or as a whole number from ten on.
func number(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.01:
		exponent := int(math.Floor(math.Log10(x * 1.05))) // so that 9.6 becomes 1·10^1 and not 10·10^0
		return fmt.Sprintf("%.0f·10^%d", x/math.Pow10(exponent), exponent)
	case x < 10:
		return fmt.Sprintf("%.2g", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func quantile(d []time.Duration, share float64) string {
	if len(d) == 0 {
		return "never"
	}
	slices.Sort(d)
	return fmt.Sprintf("%.1f", d[min(int(share*float64(len(d))), len(d)-1)].Seconds())
}
