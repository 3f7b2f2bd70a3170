package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
	"github.com/probemesh/probemesh/pkg/status"
)

// verdicts turns the votes of checks into verdicts and the verdicts of hosts into statuses, and publishes what changed.
type verdicts struct {
	env         *environment
	mesh        *topology
	rounds      *rounds
	correlation correlation
	transitions []mesh.Transition // of this step
}

// settleAll evaluates everything: which vantages are silent or isolated, which votes expired, which rounds end.
func (v *verdicts) settleAll() {
	// Silence before isolation, and both before verdicts: each depends on the one before it for every vantage.
	for _, vantage := range v.mesh.order {
		vantage.updateSilent(v.env)
	}
	for _, vantage := range v.mesh.order {
		vantage.isolate(v.env)
	}
	vantages, regions, silent := v.mesh.countVantages()
	v.rounds.budget.vantages = vantages
	v.env.halfSilent = silent > 0 && float64(silent) >= v.env.rule.SilentShare*float64(regions)
	for _, h := range v.mesh.hosts {
		for _, c := range h.checks {
			v.evaluate(c)
		}
		v.publishStatus(h)
	}
}

// settleHeld evaluates the checks whose fall is held back.
func (v *verdicts) settleHeld() {
	if len(v.correlation.held) == 0 {
		return
	}
	for _, c := range slices.Clone(v.correlation.held) {
		v.evaluate(c)
		v.publishStatus(c.host)
	}
	v.correlation.held = slices.DeleteFunc(v.correlation.held, func(c *check) bool { return !c.held() })
}

// evaluate decides the check's verdict from its votes as they are now.
func (v *verdicts) evaluate(c *check) {
	c.leftOut = c.notPermittedAnywhere()
	v.rounds.pass(c)
	if c.rounds.current == nil || c.held() { // a round has decided already that a held check falls
		v.betweenRounds(c)
		return
	}
	best, missing := c.count(v.env, asOK)
	switch {
	case (missing || c.belowPriorRegions(v.env, best)) && !c.rounds.late(v.env, c.config):
		v.duringRound(c, best)
	case missing && !c.rounds.current.answered:
		c.rounds.current = nil // agents were not asked, or could not be: this is no second observation of anything
		v.betweenRounds(c)
	default:
		v.endOfRound(c)
	}
	// The next round may be complete already: its answers came while this one was open. At most one follows.
	if c.rounds.takeNext(c.held()) {
		v.evaluate(c)
	}
}

// evaluatePings evaluates the pings of the check's host: an answer to the check may show that they are only filtered.
func (v *verdicts) evaluatePings(c *check) {
	if c.config.Kind == catalog.KindPing {
		return
	}
	for _, o := range c.host.checks {
		if o.config.Kind == catalog.KindPing {
			v.evaluate(o)
		}
	}
}

// betweenRounds decides while no round is open: votes may lift a check or expire, but only a round turns it down or
// partial. A held check had its rounds, and must only still look the same.
func (v *verdicts) betweenRounds(c *check) {
	t, _ := c.count(v.env, asHeard)
	stillPartial := c.held() && c.heldAs == mesh.Partial &&
		c.rounds.findings.stillShow(v.env.rule, c.finding(v.env, nil))
	a := c.ask(v.env, t, c.held(), stillPartial)
	if a.Verdict != c.verdict && v.tooEarly(c, t) {
		c.refresh(v.env, c.verdict, false)
	} else {
		v.apply(c, a, t)
	}
	if a.LooksBad && !a.FromVotes {
		v.rounds.requestConfirmation(c, a, c.unconfirmedAt.Add(v.env.rule.PartialAfter))
	}
}

// tooEarly reports whether vantages that have not reported again since the judge or the stream (re)started may still
// decide otherwise: the first region that reports does not lift what most others cannot reach.
func (v *verdicts) tooEarly(c *check, heard mesh.Tally) bool {
	if !c.keepsVerdict(v.env) || c.held() { // a round decided a held check
		return false
	}
	if c.belowPriorRegions(v.env, heard) {
		return true
	}
	best, missing := c.count(v.env, asOK)
	if !missing {
		return false
	}
	_, same := sameEitherWay(v.env, c, best, false)
	return !same
}

// sameEitherWay asks the quorum twice: as if all missing answers were ok, which gives the tally best, and as if they
// were bad. It reports whether both show the same verdict, so that the answers need not be waited for.
func sameEitherWay(env *environment, c *check, best mesh.Tally, mayFall bool) (quorum.Answer, bool) {
	worst, _ := c.count(env, asBad)
	a, b := c.ask(env, best, mayFall, false), c.ask(env, worst, mayFall, false)
	return a, a.Verdict == b.Verdict && a.FromVotes && b.FromVotes
}

// duringRound decides while answers are missing, if those cannot change the verdict. Only the end of a round shows a
// partial outage, since it takes two complete rounds.
func (v *verdicts) duringRound(c *check, best mesh.Tally) {
	if c.belowPriorRegions(v.env, best) {
		return
	}
	if a, same := sameEitherWay(v.env, c, best, true); same && !a.Partial {
		heard, _ := c.count(v.env, asHeard)
		v.apply(c, a, heard)
	}
}

// endOfRound decides when the check's part in a round ends.
func (v *verdicts) endOfRound(c *check) {
	r := v.rounds.close(c)
	t, _ := c.count(v.env, asHeard)
	f := c.finding(v.env, r)
	a := c.ask(v.env, t, true, c.rounds.findings.confirm(v.env.rule, f))
	c.rounds.findings.add(v.env.rule, f)
	v.apply(c, a, t)
	v.rounds.requestAfterFailures(c, r)
	if turned := a.FromVotes && c.verdict == a.Verdict; a.LooksBad && !turned && !c.held() {
		c.unconfirmedAt = v.env.now
		v.rounds.requestConfirmation(c, a, v.env.now.Add(v.env.rule.PartialAfter))
	}
}

// apply makes the quorum's answer the check's verdict and publishes it, unless a grace period, rule 7 or rule 8 delays
// that.
func (v *verdicts) apply(c *check, a quorum.Answer, t mesh.Tally) {
	next := c.degradeSlow(v.env, a.Verdict)
	if a.FromVotes && a.Verdict == mesh.Up {
		c.rounds.findings = nil // their outage is over: a later one must be confirmed by rounds of its own
	}
	if !a.FromVotes && c.keepsVerdict(v.env) {
		c.refresh(v.env, c.verdict, false)
		return // nobody could have voted yet: the verdict of the ledger stands
	}
	recovered := c.verdict == mesh.Down && status.Recovered(v.env.rule, c.recoveredRegions(v.env), t.OK+t.Bad)
	if allowed := status.Next(c.verdict, next, recovered); allowed != next {
		v.rounds.requestRecovery(c)
		next, a.FromVotes, a.Rule = allowed, false, quorum.NotRecovered
	}
	c.tally, c.rule, c.fromVotes = t, a.Rule, a.FromVotes
	c.refresh(v.env, next, a.FromVotes)
	if broken(next) && v.correlation.holdBack(c, next) {
		return
	}
	c.heldSince = time.Time{}
	if next != c.verdict {
		v.change(c, next)
	}
	v.publish(c)
}

// change sets the check's verdict.
func (v *verdicts) change(c *check, next mesh.Verdict) {
	before := c.verdict
	c.since = beginning(v.env, c, next) // reads the verdict before
	c.verdict = next
	c.rounds.dissents, c.rounds.requestedBy = nil, nil // they were against the verdict before
	c.flap.Change(v.env.rule, before, next, v.env.now)
	// Entering and leaving down takes most regions, so no few of them get refunds. A check that flaps gets none: it
	// would have rounds without end.
	if confirmed := next == mesh.Down || before == mesh.Down && next != mesh.Unknown; confirmed && !c.flap.Flapping() {
		v.rounds.budget.refund(v.env, c.host)
	}
	if broken(next) && !broken(before) {
		v.correlation.assignCause(c)
	}
	if next == mesh.Down {
		v.rounds.probeSiblings(c.host)
	}
}

// publish publishes the check's verdict if it differs from the one published last.
func (v *verdicts) publish(c *check) {
	before := c.published
	c.published = status.Published(v.env.rule, &c.flap, c.verdict, c.since, v.env.now)
	if c.damped() {
		c.rule = sentence.Flapping
	}
	if c.published != before {
		votes := regionVotes(v.env, c)
		if c.first = nil; broken(c.published) {
			first := sentence.First(c.since, votes, v.env.offset)
			c.first = &first
		}
		c.sentence = sentenceOf(v.env, v.mesh.catalog, c, votes)
		v.transitions = append(v.transitions, v.transition(c.host, c, before))
	}
	c.host.clearCause()
}

// publishStatus publishes a change of the host's status that no verdict caused: a check was removed, or may not be run.
func (v *verdicts) publishStatus(h *host) {
	if h.currentStatus() != h.status {
		v.transitions = append(v.transitions, v.transition(h, nil, ""))
	}
}

// transition changes the host's status to the one that its checks make, and returns the event that says so. c is the
// check whose published verdict changed, or nil.
func (v *verdicts) transition(h *host, c *check, before mesh.Verdict) mesh.Transition {
	t := mesh.Transition{
		ID:       fmt.Sprintf("%d-%s-%d", v.env.sequence, h.key, len(v.transitions)+1),
		Sequence: v.env.sequence, Host: h.config.Name, HostID: h.id, Public: h.config.Public,
		From: h.status, To: h.currentStatus(),
		Began: v.env.now, Published: v.env.now, Sentence: sentence.ChecksChanged,
		Rule: "the status follows from the checks that are left",
	}
	if c != nil {
		t.Check, t.CheckID = c.config.Name, c.id
		t.Was, t.Verdict, t.Began, t.Cause = before, c.published, c.since, h.cause
		t.Sentence, t.Rule, t.Tally, t.Votes = c.sentence, c.rule, c.tally, regionVotes(v.env, c)
	}
	if c != nil && aside(c) {
		t.Public, t.Aside, t.From, t.To = false, true, h.aside, h.asideStatus()
		h.aside = t.To
		return t
	}
	if t.To != t.From {
		h.status, h.since = t.To, t.Began
	}
	return t
}
