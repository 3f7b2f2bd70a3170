// Package edge is one vantage's view of one check through one address family: rule 1 of the mesh. It decides when a
// retry is sent, when an answer is slow and when silence is bad, and returns that as data: Begin starts a Series, and
// each call of the Series returns the Step that the caller must take. It sends nothing itself.
package edge

import (
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Edge remembers the usual round-trip times and loss between a vantage and a check. It is not safe for concurrent use.
type Edge struct {
	rule    catalog.Rule
	timeout time.Duration
	silence time.Duration // the least that silence lasts before it is bad
	link    estimator     // of the ping or connect
	answer  estimator     // of the whole answer
	loss    float64       // smoothed share of lost probes, learned while the edge is good
	learned time.Time
	bad     bool
}

// New returns an edge without history.
func New(rule catalog.Rule, check catalog.Check) *Edge {
	e := &Edge{rule: rule, timeout: check.Timeout, loss: rule.LossFirst}
	if check.ByDatagram() {
		// Nothing shows that the server has the question and computes its answer, as a connection would: only the
		// check's own timeout tells slow from silent.
		e.silence = check.Timeout
	}
	return e
}

// SetRule sets the rule for the edge's next series. What the edge has learned stays.
func (e *Edge) SetRule(rule catalog.Rule) { e.rule = rule }

// Bad reports whether the latest conclusive series ended as unreachable.
func (e *Edge) Bad() bool { return e.bad }

// Probes returns how many probes must be lost before silence is bad: m = clamp(ceil(ln c / ln p), ProbesMin,
// ProbesMax), where c is the rule's MissChance and p the larger of this edge's loss and the vantage's, within LossMin
// and LossMax.
func (e *Edge) Probes(vantageLoss float64) int {
	r := &e.rule
	p := min(max(e.loss, vantageLoss, r.LossMin), r.LossMax)
	return min(max(int(math.Ceil(math.Log(r.MissChance)/math.Log(p))), r.ProbesMin), r.ProbesMax)
}

// learn records a good series: its round-trip times and how many of its probes were lost. Bad series teach nothing: the
// loss of an outage would raise the number of retries for an hour after it.
func (e *Edge) learn(now time.Time, link, answer time.Duration, lost, sent int) {
	e.link.add(link)
	e.answer.add(answer)
	if !e.learned.IsZero() {
		keep := math.Exp2(-float64(now.Sub(e.learned)) / float64(e.rule.LossHalfLife))
		e.loss = keep*e.loss + (1-keep)*float64(lost)/float64(sent)
	}
	e.learned = now
}

// estimator smooths round-trip times as in RFC 6298, section 2: srtt and rttvar with gains 1/8 and 1/4.
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

// wait returns how long an answer may usually take: srtt + 4 rttvar, within the bounds.
func (s *estimator) wait(least, most time.Duration) time.Duration {
	if !s.known {
		return most
	}
	return min(max(s.srtt+4*s.rttvar, least), most)
}

// Result is what one probe found. RTT is the time to the whole answer, Link that to the ping's reply or the connection.
type Result struct {
	Outcome   mesh.Outcome // Reachable, Unreachable or Inconclusive
	Reason    string
	RTT, Link time.Duration
	Definite  bool         // an answer, not a loss: one re-check settles it
	Address   string       // for a name: the address that answered, or the result of each one tried
	Phases    mesh.Phases  // of a good answer over HTTP
	Expiry    *mesh.Expiry // of a good answer: what it depends on and ends soon; may be nil
}

// Window holds the outcome of a vantage's last probes that were part of good series. It measures the loss of the
// vantage's own network. Probes of bad series are left out: their loss is the host's.
type Window struct {
	fates [windowSize]fate
	next  int
}

const (
	windowSize = 60
	windowMin  = 20 // fewer probes of other hosts are too few for an estimate
)

type fate struct {
	host string
	lost bool
}

// Add records whether a probe of the host was lost.
func (w *Window) Add(host string, lost bool) {
	w.fates[w.next] = fate{host, lost}
	w.next = (w.next + 1) % windowSize
}

// Loss returns the share of lost probes among those of all hosts except one, or 0 if there are too few.
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
