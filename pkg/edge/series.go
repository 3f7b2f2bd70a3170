package edge

import (
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Probe is one probe that must be sent now.
type Probe struct {
	Number int
	Until  time.Time // when its ping or connect is given up; what follows the connect has the check's own timeout
}

// Step is what the caller must do: send these probes and publish these observations (host, check and family are left
// for the caller to fill in). After Done the series is over, and probes under way may be cancelled.
type Step struct {
	Send   []Probe
	Report []mesh.Observation
	Done   bool
}

// Series is one execution of a check: the scheduled probe and its retries. Feed it with Answer and Connected, and call
// Advance when Due says so. It is not safe for concurrent use.
type Series struct {
	edge   *Edge
	began  time.Time
	round  uint64
	wait   time.Duration // for the ping or connect, before a retry is sent
	talk   time.Duration // for what follows a connect, before a second connection is opened beside it
	most   int           // probes
	probes []sent

	retryAt time.Time // when the next retry is sent; zero: none will be
	badAt   time.Time // when silence makes the edge bad
	recheck bool      // the one re-check of a definite answer, or of a hung conversation, was sent
	missed  bool
	answers int // definite answers that were bad
	reason  string
	address string // what gave the reason, see Result.Address
	done    bool
}

// sent is a probe that was sent.
type sent struct {
	at        time.Time
	connected time.Time // when its connection was established; zero before
	over      bool      // its result arrived
}

// Begin starts a series: for the given round, or 0 for a scheduled one. vantageLoss is Window.Loss for the host.
func (e *Edge) Begin(now time.Time, round uint64, vantageLoss float64) (*Series, Step) {
	s := &Series{
		edge: e, began: now, round: round, most: e.Probes(vantageLoss),
		wait: e.link.wait(e.rule.WaitMin, e.rule.WaitMax),
		talk: e.answer.wait(e.rule.WaitMax, max(e.timeout, e.rule.WaitMax)),
	}
	s.retryAt = now.Add(s.wait)
	// The first retry follows after wait, the other most-2 RetryEvery apart, and the last one is given wait to be
	// answered.
	s.badAt = now.Add(max(e.rule.BadMin, e.silence, s.wait+time.Duration(s.most-2)*e.rule.RetryEvery+s.wait))
	return s, Step{Send: []Probe{s.send(now)}}
}

// Join makes a series in flight answer a round that was opened meanwhile.
func (s *Series) Join(round uint64) { s.round = max(s.round, round) }

// Due returns when Advance must be called next, or the zero time if only an answer can change anything.
func (s *Series) Due() time.Time {
	if open := s.open(); !open.IsZero() {
		if s.recheck {
			return time.Time{} // the probes' own timeout ends them
		}
		return open.Add(s.talk)
	}
	if s.retryAt.IsZero() || s.badAt.Before(s.retryAt) {
		return s.badAt
	}
	return s.retryAt
}

// Advance does what is due by now.
func (s *Series) Advance(now time.Time) Step {
	var step Step
	if due := s.Due(); s.done || due.IsZero() || now.Before(due) {
		return step
	}
	if !s.open().IsZero() { // connected, without an answer: open a second connection, so that both wait together
		s.miss(now, &step, "accepted the connection and sent nothing yet")
		s.sendRecheck(now, &step)
		return step
	}
	if s.retryAt.IsZero() || now.Before(s.retryAt) {
		s.settle(now, mesh.Unreachable, &step)
		return step
	}
	s.miss(now, &step, "timeout")
	s.sendRetry(now, &step)
	return step
}

// Connected records that the probe's ping was answered or its connection established. What follows has the check's own
// timeout.
func (s *Series) Connected(now time.Time, number int) { s.probes[number].connected = now }

// Answer handles a probe's result.
func (s *Series) Answer(now time.Time, number int, r Result) Step {
	var step Step
	p := &s.probes[number]
	if s.done || p.over {
		return step
	}
	p.over = true
	switch {
	case r.Outcome.Good():
		s.good(now, r, &step)
	case r.Outcome == mesh.Inconclusive:
		s.inconclusive(now, r, &step)
	case r.Definite:
		s.definite(now, r, &step)
	default:
		s.lost(now, r, &step)
	}
	return step
}

// good ends the series: one good answer is enough. It is slow if it took longer than answers usually take.
func (s *Series) good(now time.Time, r Result, step *Step) {
	link := r.Link
	if link == 0 {
		link = r.RTT
	}
	outcome := mesh.Reachable
	s.reason, s.address = "", r.Address
	if r.Outcome == mesh.Slow { // the server itself says so
		outcome, s.reason = mesh.Slow, r.Reason
	} else if link > s.wait || r.RTT > max(s.talk, s.wait) {
		outcome, s.reason = mesh.Slow, "answered after "+mesh.Span(r.RTT)
	}
	o := s.observation(now, outcome)
	o.RTT, o.Phases, o.Expiry = min(r.RTT, o.Elapsed), r.Phases, r.Expiry
	s.edge.learn(now, link, r.RTT, o.Lost, o.Sent)
	s.finish(o, step)
}

// inconclusive ends the series, unless another probe found something or may still do so.
func (s *Series) inconclusive(now time.Time, r Result, step *Step) {
	if s.answers > 0 || s.underWay() > 0 {
		return
	}
	s.reason, s.address = r.Reason, r.Address
	s.settle(now, mesh.Inconclusive, step)
}

// definite handles an answer that is not the one the check expects. The second one ends the series.
func (s *Series) definite(now time.Time, r Result, step *Step) {
	s.answers++
	s.reason, s.address = r.Reason, r.Address
	s.retryAt = time.Time{}
	if s.answers > 1 {
		s.settle(now, mesh.Unreachable, step)
		return
	}
	s.miss(now, step, r.Reason)
	if !s.recheck {
		s.sendRecheck(now, step)
	}
}

// lost handles a probe without an answer: a timeout, or a router's "unreachable".
func (s *Series) lost(now time.Time, r Result, step *Step) {
	if s.answers == 0 { // a definite answer is the better reason
		s.reason, s.address = r.Reason, r.Address
	}
	s.miss(now, step, r.Reason)
	switch {
	case len(s.probes) == 1 && !s.retryAt.IsZero():
		s.sendRetry(now, step)
	case s.underWay() == 0 && s.retryAt.IsZero():
		s.settle(now, mesh.Unreachable, step)
	}
}

// sendRetry sends the next retry. The last one determines when silence makes the edge bad.
func (s *Series) sendRetry(now time.Time, step *Step) {
	step.Send = append(step.Send, s.send(now))
	s.retryAt = now.Add(s.edge.rule.RetryEvery)
	if len(s.probes) >= s.most {
		s.retryAt = time.Time{}
		s.badAt = later(s.badAt, now.Add(s.wait))
	}
}

// sendRecheck sends the one re-check.
func (s *Series) sendRecheck(now time.Time, step *Step) {
	s.recheck, s.retryAt = true, time.Time{}
	s.badAt = later(s.began.Add(s.edge.rule.BadMin), now.Add(s.wait))
	step.Send = append(step.Send, s.send(now))
}

func (s *Series) send(now time.Time) Probe {
	s.probes = append(s.probes, sent{at: now})
	return Probe{Number: len(s.probes) - 1, Until: later(s.badAt, now.Add(s.wait))}
}

// miss reports the first miss, once. An edge that is already bad reports none: a miss only opens a round, and the round
// about this failure was opened before.
func (s *Series) miss(now time.Time, step *Step, reason string) {
	if s.missed || s.edge.bad {
		return
	}
	s.missed = true
	o := s.observation(now, mesh.Unreachable)
	o.Stage, o.Reason = mesh.Missed, reason
	step.Report = append(step.Report, o)
}

func (s *Series) settle(now time.Time, outcome mesh.Outcome, step *Step) {
	if outcome == mesh.Unreachable && s.reason == "" {
		s.reason = "timeout"
	}
	s.finish(s.observation(now, outcome), step)
}

func (s *Series) finish(o mesh.Observation, step *Step) {
	if o.Outcome != mesh.Inconclusive {
		s.edge.bad = o.Outcome == mesh.Unreachable
	}
	s.done, step.Done = true, true
	step.Report = append(step.Report, o)
}

func (s *Series) observation(now time.Time, outcome mesh.Outcome) mesh.Observation {
	o := mesh.Observation{
		Began: s.began, Elapsed: now.Sub(s.began), Outcome: outcome, Stage: mesh.Settled, Round: s.round,
		Sent: len(s.probes), Reason: s.reason, Address: s.address,
	}
	for _, p := range s.probes {
		if !p.over && p.connected.IsZero() && now.Sub(p.at) >= s.wait {
			o.Lost++
		}
	}
	return o
}

// open returns when the oldest connection that still waits for an answer was established; zero if there is none.
func (s *Series) open() time.Time {
	var first time.Time
	for _, p := range s.probes {
		if !p.over && !p.connected.IsZero() && (first.IsZero() || p.connected.Before(first)) {
			first = p.connected
		}
	}
	return first
}

// underWay returns how many probes have no result yet.
func (s *Series) underWay() int {
	n := 0
	for _, p := range s.probes {
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
