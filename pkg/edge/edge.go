// Package edge is one vantage's view of one check through one address family: rule 1 of the mesh. It decides when a retry
// leaves, when an answer is slow and when silence is bad, as data: Begin starts a Look, and the Look says what to do next.
package edge

import (
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Edge remembers what is usual between the vantage and the check. It is not safe for concurrent use.
type Edge struct {
	rule    catalog.Rule
	timeout time.Duration
	link    estimator // of the ping or connect
	answer  estimator // of the whole answer
	loss    float64   // smoothed share of lost probes, learned while the edge is good
	learned time.Time
	bad     bool
}

// New is an edge of which nothing is known.
func New(rule catalog.Rule, check catalog.Check) *Edge {
	return &Edge{rule: rule, timeout: check.Timeout, loss: rule.LossFirst}
}

// SetRule has the edge's next looks go by other numbers. What it has learned stays.
func (e *Edge) SetRule(rule catalog.Rule) { e.rule = rule }

// Bad reports whether the latest look settled as unreachable.
func (e *Edge) Bad() bool { return e.bad }

// Probes is how many probes must be lost before silence is bad: m = clamp(ceil(ln c / ln p), ProbesMin, ProbesMax), where
// c is the rule's MissChance and p the larger of this edge's loss and the vantage's, within LossMin and LossMax.
func (e *Edge) Probes(vantageLoss float64) int {
	r := &e.rule
	p := min(max(e.loss, vantageLoss, r.LossMin), r.LossMax)
	return min(max(int(math.Ceil(math.Log(r.MissChance)/math.Log(p))), r.ProbesMin), r.ProbesMax)
}

// learn takes a good look: its times, and the share of probes that were lost on the way.
func (e *Edge) learn(now time.Time, link, answer time.Duration, lost, sent int) {
	e.link.add(link)
	e.answer.add(answer)
	if !e.learned.IsZero() {
		keep := math.Exp2(-float64(now.Sub(e.learned)) / float64(e.rule.LossHalfLife))
		e.loss = keep*e.loss + (1-keep)*float64(lost)/float64(sent)
	}
	e.learned = now
}

// estimator smooths round-trip times as RFC 6298, section 2: srtt and rttvar with gains 1/8 and 1/4.
type estimator struct {
	srtt, rttvar time.Duration
	known        bool
}

func (s *estimator) add(rtt time.Duration) {
	if !s.known {
		s.srtt, s.rttvar, s.known = rtt, rtt/2, true
		return
	}
	s.rttvar += ((s.srtt - rtt).Abs() - s.rttvar) / 4
	s.srtt += (rtt - s.srtt) / 8
}

// wait is how long an answer may usually take: srtt + 4 rttvar within the bounds.
func (s *estimator) wait(least, most time.Duration) time.Duration {
	if !s.known {
		return most
	}
	return min(max(s.srtt+4*s.rttvar, least), most)
}

// Result is what one probe found. RTT is of the whole answer, Link of the ping or connect alone.
type Result struct {
	Outcome   mesh.Outcome // Reachable, Unreachable or Inconclusive
	Reason    string
	RTT, Link time.Duration
	Definite  bool   // an answer, not a loss: one re-check settles it
	Address   string // of a name: the address that answered, or what each one tried gave
}

// Window is the fate of a vantage's last probes that were part of good looks, from which it learns its own loss.
type Window struct {
	fates [windowSize]fate
	next  int
}

const (
	windowSize = 60
	windowMin  = 20 // fewer probes of other hosts say nothing
)

type fate struct {
	host string
	lost bool
}

// Add remembers whether a probe of the host was lost.
func (w *Window) Add(host string, lost bool) {
	w.fates[w.next] = fate{host, lost}
	w.next = (w.next + 1) % windowSize
}

// Loss is the share of lost probes among those of other hosts than this one.
func (w *Window) Loss(except string) float64 {
	seen, lost := 0, 0
	for _, f := range w.fates {
		if f.host == "" || f.host == except {
			continue
		}
		seen++
		if f.lost {
			lost++
		}
	}
	if seen < windowMin {
		return 0
	}
	return float64(lost) / float64(seen)
}
