package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// modelRows are the rows of one model: the quorum rule, then the simpler ones.
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

// quorumRule measures the real rule. Its false verdicts are too rare to be seen: without bursts they are the rounds a year
// times what importance sampling says of one round; with bursts, the bursts of the target's uplink times what is counted in them,
// and both together.
func quorumRule(p *plan, m model, seed uint64, e effort) (r result) {
	running := run(p, m, seed, e.plain)
	years := float64(running.lasted) / float64(year)
	rounds := float64(running.rounds) / years
	downs, partials, _ := episodes(p, m, tiltOf(p, m), seed, e.episodes)
	r.downs = ofRounds(rounds, downs, counted(running.downs, running.lasted))
	r.partials = ofRounds(rounds, partials, counted(running.partials, running.lasted))
	if m.burstEvery > 0 {
		d, q := duringBursts(p, m, seed, e.episodes)
		perYear := float64(year) / float64(m.burstEvery+m.burstFor)
		r.downs = r.downs.plus(perYear, d, e.episodes)
		r.partials = r.partials.plus(perYear, q, e.episodes)
	}
	for _, kind := range []fault{refuses, gone} {
		took, missed := detect(p, m, seed, kind, e.outages)
		r.detections, r.missed, r.outages = append(r.detections, took...), r.missed+missed, r.outages+e.outages
	}
	r.extra = float64(running.sent)/float64(running.planned) - 1
	return r
}

// ofRounds is a rate from that of the rounds and what importance sampling says of one. Where it saw nothing it proves nothing: then
// the plain count bounds the rate.
func ofRounds(rounds float64, s sums, plain estimate) estimate {
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
	extra, looks := play(p, rules, newFates(m, newRandom(seed, 9)), 0, e.simple, fine, func(r int, _ time.Duration) { falls[r]++ })
	for r := range rules {
		out[r].downs = counted(falls[r], e.simple)
		out[r].extra = float64(extra[r]) / float64(looks)
		if rules[r].only != nil {
			out[r].extra *= float64(len(p.names)) // of its own scheduled probes
		}
	}
	for _, kind := range []fault{refuses, gone} {
		took, missed := detectSimply(p, rules, m, seed, kind, e.outages)
		for r := range rules {
			out[r].detections, out[r].missed, out[r].outages = append(out[r].detections, took[r]...), out[r].missed+missed[r], out[r].outages+e.outages
		}
	}
	return out
}

func row(network, rule string, r result, partials bool) string {
	partial := "–"
	if partials {
		partial = r.partials.words()
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %d of %d | %s / %s s | %.1f %% |\n", network, rule, r.downs.words(), partial, r.missed, r.outages,
		quantile(r.detections, 0.5), quantile(r.detections, 0.99), 100*r.extra)
}

// words are a rate in 1,000 target-years, with its bound.
func (e estimate) words() string {
	const thousand = 1000
	if e.rate == 0 {
		return "< " + number(thousand*e.bound)
	}
	return fmt.Sprintf("%s (< %s)", number(thousand*e.rate), number(thousand*e.bound))
}

// number writes two digits that count.
func number(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.01:
		exponent := int(math.Floor(math.Log10(x * 1.05))) // 9.6 is ten
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
