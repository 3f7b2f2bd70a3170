package edge

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Probe is one probe that must leave now.
type Probe struct {
	Number int
	Until  time.Time // when its ping or connect is given up; what is said after has the check's own timeout
}

// Step is what must be done: send these probes, and say these observations (without host, check and family). After Done
// nothing more comes of the look, and probes under way may be cancelled.
type Step struct {
	Send []Probe
	Say  []mesh.Observation
	Done bool
}

// Look is one look in flight: the scheduled probe with its retries.
type Look struct {
	edge   *Edge
	began  time.Time
	round  uint64
	wait   time.Duration // for the ping or connect, before a retry leaves
	talk   time.Duration // for what follows a connect, before a second connection is tried beside it
	most   int           // probes
	probes []sent

	retryAt time.Time // when the next retry leaves; zero when none will
	badAt   time.Time // when silence is bad
	recheck bool      // the one re-check of a definite answer, or of a hung conversation, has left
	missed  bool
	answers int // definite answers that were bad
	reason  string
	address string // what gave the reason, see Result.Address
	done    bool
}

// sent is a probe that left.
type sent struct {
	at        time.Time
	connected time.Time // when its connection stood; zero before
	over      bool      // it came back
}

// Begin starts a look: for the round given, or 0 for one that is due by schedule. vantageLoss is Window.Loss for the host.
func (e *Edge) Begin(now time.Time, round uint64, vantageLoss float64) (*Look, Step) {
	l := &Look{
		edge: e, began: now, round: round, most: e.Probes(vantageLoss),
		wait: e.link.wait(e.rule.WaitMin, e.rule.WaitMax), talk: e.answer.wait(e.rule.WaitMax, max(e.timeout, e.rule.WaitMax)),
	}
	l.retryAt = now.Add(l.wait)
	l.badAt = now.Add(max(e.rule.BadMin, l.wait+time.Duration(l.most-2)*e.rule.RetryEvery+l.wait))
	return l, Step{Send: []Probe{l.send(now)}}
}

// Join lets a look in flight answer a round that was asked meanwhile.
func (l *Look) Join(round uint64) { l.round = max(l.round, round) }

// Due is when Advance must be called next; the zero time when only an answer can come.
func (l *Look) Due() time.Time {
	if open := l.open(); !open.IsZero() {
		if l.recheck {
			return time.Time{}
		}
		return open.Add(l.talk)
	}
	if l.retryAt.IsZero() || l.badAt.Before(l.retryAt) {
		return l.badAt
	}
	return l.retryAt
}

// Advance does what is due by now.
func (l *Look) Advance(now time.Time) Step {
	var s Step
	if due := l.Due(); l.done || due.IsZero() || now.Before(due) {
		return s
	}
	if !l.open().IsZero() { // accepted, and says nothing: ask once more beside it, so that both wait together
		l.miss(now, &s, "accepted and says nothing yet")
		l.again(now, &s)
		return s
	}
	if l.retryAt.IsZero() || now.Before(l.retryAt) {
		l.settle(now, mesh.Unreachable, &s)
		return s
	}
	l.miss(now, &s, "timeout")
	l.retry(now, &s)
	return s
}

// Connected notes that the probe's ping was answered or its connection stands: what follows has the check's own timeout.
func (l *Look) Connected(now time.Time, number int) { l.probes[number].connected = now }

// Answer takes what a probe found.
func (l *Look) Answer(now time.Time, number int, r Result) Step {
	var s Step
	p := &l.probes[number]
	if l.done || p.over {
		return s
	}
	p.over = true
	switch {
	case r.Outcome.Good():
		l.good(now, r, &s)
	case r.Outcome == mesh.Inconclusive:
		l.inconclusive(now, r, &s)
	case r.Definite:
		l.definite(now, r, &s)
	default:
		l.lost(now, r, &s)
	}
	return s
}

func (l *Look) good(now time.Time, r Result, s *Step) {
	link := r.Link
	if link == 0 {
		link = r.RTT
	}
	outcome := mesh.Reachable
	l.reason, l.address = "", r.Address
	if link > l.wait || r.RTT > max(l.talk, l.wait) {
		outcome, l.reason = mesh.Slow, fmt.Sprintf("answered after %s", r.RTT.Round(time.Millisecond))
	}
	o := l.observation(now, outcome)
	o.RTT = min(r.RTT, o.Elapsed)
	l.edge.learn(now, link, r.RTT, o.Lost, o.Sent)
	l.finish(o, s)
}

// inconclusive settles the look, unless another probe is still under way and may find something.
func (l *Look) inconclusive(now time.Time, r Result, s *Step) {
	if l.answers > 0 || l.underWay() > 0 {
		return
	}
	l.reason, l.address = r.Reason, r.Address
	l.settle(now, mesh.Inconclusive, s)
}

// definite takes an answer that is not what the check asks. A second one settles it.
func (l *Look) definite(now time.Time, r Result, s *Step) {
	l.answers++
	l.reason, l.address = r.Reason, r.Address
	l.retryAt = time.Time{}
	if l.answers > 1 {
		l.settle(now, mesh.Unreachable, s)
		return
	}
	l.miss(now, s, r.Reason)
	if !l.recheck {
		l.again(now, s)
	}
}

// lost takes a probe that came back without an answer: a timeout, or a router's word.
func (l *Look) lost(now time.Time, r Result, s *Step) {
	if l.answers == 0 {
		l.reason, l.address = r.Reason, r.Address
	}
	l.miss(now, s, r.Reason)
	switch {
	case len(l.probes) == 1 && !l.retryAt.IsZero():
		l.retry(now, s)
	case l.underWay() == 0 && l.retryAt.IsZero():
		l.settle(now, mesh.Unreachable, s)
	}
}

// retry sends the next retry, and the last one sets when silence is bad.
func (l *Look) retry(now time.Time, s *Step) {
	s.Send = append(s.Send, l.send(now))
	l.retryAt = now.Add(l.edge.rule.RetryEvery)
	if len(l.probes) >= l.most {
		l.retryAt = time.Time{}
		l.badAt = later(l.badAt, now.Add(l.wait))
	}
}

// again sends the one re-check.
func (l *Look) again(now time.Time, s *Step) {
	l.recheck, l.retryAt = true, time.Time{}
	l.badAt = later(l.began.Add(l.edge.rule.BadMin), now.Add(l.wait))
	s.Send = append(s.Send, l.send(now))
}

func (l *Look) send(now time.Time) Probe {
	l.probes = append(l.probes, sent{at: now})
	return Probe{Number: len(l.probes) - 1, Until: later(l.badAt, now.Add(l.wait))}
}

// miss tells the first miss, once, and not of an edge that everybody knows to be bad.
func (l *Look) miss(now time.Time, s *Step, reason string) {
	if l.missed || l.edge.bad {
		return
	}
	l.missed = true
	o := l.observation(now, mesh.Unreachable)
	o.Stage, o.Reason = mesh.Missed, reason
	s.Say = append(s.Say, o)
}

func (l *Look) settle(now time.Time, outcome mesh.Outcome, s *Step) {
	if outcome == mesh.Unreachable && l.reason == "" {
		l.reason = "timeout"
	}
	l.finish(l.observation(now, outcome), s)
}

func (l *Look) finish(o mesh.Observation, s *Step) {
	if o.Outcome != mesh.Inconclusive {
		l.edge.bad = o.Outcome == mesh.Unreachable
	}
	l.done, s.Done = true, true
	s.Say = append(s.Say, o)
}

func (l *Look) observation(now time.Time, outcome mesh.Outcome) mesh.Observation {
	o := mesh.Observation{
		Began: l.began, Elapsed: now.Sub(l.began), Outcome: outcome, Stage: mesh.Settled, Round: l.round,
		Sent: len(l.probes), Reason: l.reason, Address: l.address,
	}
	for _, p := range l.probes {
		if !p.over && p.connected.IsZero() && now.Sub(p.at) >= l.wait {
			o.Lost++
		}
	}
	return o
}

// open is when the first conversation that is still under way began; zero when none is.
func (l *Look) open() time.Time {
	var first time.Time
	for _, p := range l.probes {
		if !p.over && !p.connected.IsZero() && (first.IsZero() || p.connected.Before(first)) {
			first = p.connected
		}
	}
	return first
}

func (l *Look) underWay() int {
	n := 0
	for _, p := range l.probes {
		if !p.over {
			n++
		}
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
