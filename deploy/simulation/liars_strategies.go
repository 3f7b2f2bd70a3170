package main

import (
	"fmt"
	"strings"
	"time"
)

// clock counts the steps by which an alternating liar changes its opinion.
type clock struct {
	name string
	step func(moment) int
}

func every(d time.Duration) clock {
	return clock{"every " + d.String(), func(m moment) int { return int(m.at / d) }}
}

var clocks = []clock{
	{"with each look", func(m moment) int { return m.lies / 2 }}, // the target has two checks, so two lies each time
	{"with each lie", func(m moment) int { return m.lies }},
	{"with each round", func(m moment) int { return m.round }},
	every(time.Second), every(2500 * time.Millisecond), every(6 * time.Second), every(10 * time.Second),
	every(24 * time.Second),
}

var opinionNames = [...]string{"ok", "bad", "inconclusive", "nothing", "a miss", "the truth"}

// constant returns a strategy whose first liars report ok, the next ones bad, and the rest inconclusive.
func constant(ok, bad, rest int) *strategy {
	return &strategy{
		name: fmt.Sprintf("%d ok, %d bad, %d inconclusive", ok, bad, rest),
		opinion: func(m moment) opinion {
			switch {
			case m.liar < ok:
				return reportOK
			case m.liar < ok+bad:
				return reportBad
			}
			return reportInconclusive
		},
	}
}

// alternating returns a strategy whose first liars report a constant opinion. The others cycle through opinions, each
// shift steps ahead of the one before it.
func alternating(fixed int, always opinion, cycle []opinion, shift int, c clock) *strategy {
	var words []string
	for _, o := range cycle {
		words = append(words, opinionNames[o])
	}
	return &strategy{
		name: fmt.Sprintf("%d always %s, the others %s %s, %d apart",
			fixed, opinionNames[always], strings.Join(words, "/"), c.name, shift),
		alternates: true,
		opinion: func(m moment) opinion {
			if m.liar < fixed {
				return always
			}
			return cycle[(c.step(m)+shift*m.liar)%len(cycle)]
		},
	}
}

// with returns a copy of the strategy that is changed by the variant.
func (s *strategy) with(v variant) *strategy {
	out := *s
	v.change(&out)
	out.name += "; " + v.name
	return &out
}

// variant is one thing besides its votes that an attacker is free to choose.
type variant struct {
	name   string
	change func(*strategy)
}

var variants = []variant{
	{"forged gossip acknowledgements of the target reach honest agents", func(s *strategy) { s.forgesAcks = true }},
	{"liars report gossip acknowledgements of the target", func(s *strategy) { s.acks = true }},
	{"gossip holds the target dead", func(s *strategy) { s.targetDead = true }},
	{"gossip holds everybody dead", func(s *strategy) { s.allDead = true }},
	{"those that are inconclusive are silent", func(s *strategy) { s.silence = abstainers(s, isSilent) }},
	{"those that are inconclusive lag", func(s *strategy) { s.silence = abstainers(s, lags) }},
	{"those that are inconclusive lose their anchors", func(s *strategy) { s.silence = abstainers(s, hasNoAnchors) }},
	{"those that are inconclusive replay history", func(s *strategy) { s.silence = abstainers(s, replays) }},
	{"silent for 7 s of 14 s, in turns", func(s *strategy) {
		s.silence, s.alternates = inTurns(isSilent, 7*time.Second), true
	}},
	{"lagging for 3 s of 6 s, in turns", func(s *strategy) {
		s.silence, s.alternates = inTurns(lags, 3*time.Second), true
	}},
	{"an unrequested look each second", func(s *strategy) { s.manner.unrequested = true }},
	{"answers after those of the honest agents", func(s *strategy) { s.manner.slow = true }},
	{"looks dated a second ahead", func(s *strategy) { s.manner.ahead = true }},
	{"looks dated 20 s back", func(s *strategy) { s.manner.backdated = 20 * time.Second }},
	{"looks dated 110 s back", func(s *strategy) { s.manner.backdated = 110 * time.Second }},
	{"answers name no round", func(s *strategy) { s.manner.withoutRound = true }},
	{"answers name the largest round", func(s *strategy) { s.manner.anyRound = true }},
	{"a miss before each bad look", func(s *strategy) { s.manner.withMiss = true }},
	{"every batch of a new epoch", func(s *strategy) { s.manner.epochs = true }},
	{"an unknown catalog revision", func(s *strategy) { s.manner.stale = true }},
	{"misses of every host, twice a second", func(s *strategy) { s.manner.noise = true }},
	{"two in five of the other hosts bad too", func(s *strategy) { s.others = 0.4 }},
	{"all other hosts bad too", func(s *strategy) { s.others = 1 }},
	{"the target's own agent is a liar", func(s *strategy) { s.own = true }},
	{"liars' hosts refuse all honest agents", func(s *strategy) { s.refuse = func(moment, int) bool { return true } }},
	{"liars' hosts refuse one honest agent", func(s *strategy) {
		s.refuse = func(_ moment, agent int) bool { return agent == 1 }
	}},
	{"liars' hosts refuse every second agent", func(s *strategy) {
		s.refuse = func(_ moment, agent int) bool { return agent%2 == 1 }
	}},
	{"liars' hosts refuse all honest agents for 15 s of 30 s, in turns", func(s *strategy) {
		s.refuse = func(m moment, _ int) bool { return (int(m.at/(15*time.Second))+m.liar)%2 == 0 }
		s.alternates = true
	}},
}

// abstainers lets liars abstain from all votes whenever they report nothing of use about the target.
func abstainers(s *strategy, how silence) func(moment) silence {
	return func(m moment) silence {
		if o := s.opinion(m); o == reportInconclusive || o == reportNothing {
			return how
		}
		return reports
	}
}

// inTurns lets every second liar abstain from all votes for the period, and then the others.
func inTurns(how silence, period time.Duration) func(moment) silence {
	return func(m moment) silence {
		if (int(m.at/period)+m.liar)%2 == 0 {
			return how
		}
		return reports
	}
}

// strategies returns those to try with so many liars: every division of them among ok, bad and inconclusive; every
// variant of the uniform lies; alternating ones by every clock; and a random sample of all combinations.
func strategies(liars, sampled int, seed uint64) []*strategy {
	var out []*strategy
	for ok := liars; ok >= 0; ok-- {
		for bad := liars - ok; bad >= 0; bad-- {
			out = append(out, constant(ok, bad, liars-ok-bad))
		}
	}
	for _, pure := range []*strategy{
		constant(liars, 0, 0), constant(0, liars, 0), constant(0, 0, liars),
		alternating(0, reportOK, cycles[0], 1, clocks[0]), alternating(0, reportOK, cycles[1], 1, clocks[0]),
	} {
		for _, v := range variants {
			out = append(out, pure.with(v))
		}
	}
	for _, cycle := range cycles {
		for _, c := range clocks {
			for _, shift := range []int{0, 1}[:min(liars, 2)] {
				out = append(out, alternating(0, reportOK, cycle, shift, c))
			}
		}
	}
	return append(out, sample(liars, sampled, seed)...)
}

var cycles = [][]opinion{
	{reportOK, reportBad}, {reportOK, reportInconclusive}, {reportBad, reportInconclusive},
	{reportOK, reportBad, reportInconclusive}, {reportBad, reportTruth}, {reportMiss, reportOK},
}

// sample draws strategies at random: two in three alternate, each with up to three variants.
func sample(liars, n int, seed uint64) []*strategy {
	random := newRandom(seed, uint64(liars))
	var out []*strategy
	for range n {
		var s *strategy
		switch random.IntN(6) {
		case 0, 1:
			ok := random.IntN(liars + 1)
			bad := random.IntN(liars - ok + 1)
			s = constant(ok, bad, liars-ok-bad)
		case 2:
			s = &strategy{name: "any opinion at each lie", alternates: true, opinion: func(m moment) opinion {
				return opinion(m.random.IntN(opinions))
			}}
		default:
			always := []opinion{reportOK, reportBad, reportInconclusive}[random.IntN(3)]
			cycle := cycles[random.IntN(len(cycles))]
			s = alternating(random.IntN(liars), always, cycle, random.IntN(3), clocks[random.IntN(len(clocks))])
		}
		for range random.IntN(4) {
			s = s.with(variants[random.IntN(len(variants))])
		}
		out = append(out, s)
	}
	return out
}
