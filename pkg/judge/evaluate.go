package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
	"github.com/probemesh/probemesh/pkg/status"
)

// evaluate asks the quorum what is true of the check now.
func (j *Judge) evaluate(c *check, out *Output) {
	if len(c.edges) == 0 {
		return
	}
	c.leftOut = j.forbidden(c)
	j.passRound(c)
	if !c.asked() || c.holding() { // what is held was decided by a round before
		j.between(c, out)
		return
	}
	best, missing := j.tally(c, asOK)
	switch {
	case (missing || j.few(c, best)) && !j.late(c):
		j.early(c, best, out)
	case missing && !c.round.answered:
		c.round = nil // nobody was asked, or could be: that is no second look
		j.between(c, out)
	default:
		j.closing(c, out)
	}
	if c.takeNextRound() {
		j.evaluate(c, out)
	}
}

// between decides while no round is open: votes may lift a check or let it lapse, and only a round lets it fall. What is held
// had its rounds, and must only look the same still.
func (j *Judge) between(c *check, out *Output) {
	t, _ := j.tally(c, asHeard)
	a := j.ask(c, t, c.holding(), j.stillPartial(c))
	if a.Verdict != c.verdict && j.unsettled(c, t) {
		j.refresh(c, c.verdict, false)
	} else {
		j.apply(c, a, t, out)
	}
	if a.LooksBad && !fell(a) {
		j.requestConfirmation(c, a, c.looksBadAt.Add(j.rule.PartialAfter))
	}
}

// unsettled reports whether what nobody could tell yet, since the judge or the stream began anew, may still decide otherwise: the
// first region that is heard does not lift what most others cannot reach.
func (j *Judge) unsettled(c *check, heard mesh.Tally) bool {
	if !j.standing(c) || c.holding() { // a round decided what is held
		return false
	}
	best, missing := j.tally(c, asOK)
	if !missing {
		return j.few(c, heard)
	}
	worst, _ := j.tally(c, asBad)
	a, b := j.ask(c, best, false, false), j.ask(c, worst, false, false)
	return j.few(c, heard) || a.Verdict != b.Verdict || !a.FromVotes || !b.FromVotes
}

// early decides while answers are missing, where those cannot change the verdict.
func (j *Judge) early(c *check, best mesh.Tally, out *Output) {
	if j.few(c, best) {
		return
	}
	worst, _ := j.tally(c, asBad)
	a, b := j.ask(c, best, true, false), j.ask(c, worst, true, false)
	if a.Verdict == b.Verdict && a.FromVotes && b.FromVotes && !a.Partial {
		heard, _ := j.tally(c, asHeard)
		j.apply(c, a, heard, out)
	}
}

// closing decides at the end of the check's part of a round.
func (j *Judge) closing(c *check, out *Output) {
	r := j.endRound(c)
	t, _ := j.tally(c, asHeard)
	f := j.finding(c, r)
	a := j.ask(c, t, true, c.confirmsPartial(j.rule, f))
	c.record(j.rule, f)
	j.apply(c, a, t, out)
	j.requestAfterFailures(c, r)
	if turned := fell(a) && c.verdict == a.Verdict; a.LooksBad && !turned && !c.holding() {
		c.looksBadAt = j.now
		j.requestConfirmation(c, a, j.now.Add(j.rule.PartialAfter))
	}
}

// fell reports whether what looks bad is held true.
func fell(a quorum.Answer) bool { return a.FromVotes }

// ask puts the check's votes to the quorum.
func (j *Judge) ask(c *check, t mesh.Tally, mayFall, confirmed bool) quorum.Answer {
	own := j.vantages[c.host.key]
	return quorum.Decide(j.rule, quorum.Question{
		Regions: t.Regions, OK: t.OK, Bad: t.Bad,
		Before: c.verdict, BeforeFresh: j.now.Before(c.madeBy) || j.stands(c),
		MayFall: mayFall, Confirmed: confirmed, HalfSilent: j.halfSilent,
		HostSilent: own == nil || own.silent || !own.counts(),
	})
}

// apply makes the answer the check's verdict, unless the check is held where it is.
func (j *Judge) apply(c *check, a quorum.Answer, t mesh.Tally, out *Output) {
	verdict := j.verdictOf(c, a)
	if a.FromVotes && a.Verdict == mesh.Up {
		c.findings = nil // the outage that they showed is over: a later one must be confirmed by rounds of its own
	}
	switch {
	case !a.FromVotes && j.standing(c):
		j.refresh(c, c.verdict, false)
		return // nobody could have told us yet: what the ledger holds stands
	case c.verdict == mesh.Down && verdict != mesh.Down && verdict != mesh.Unknown && !j.recovered(c, t):
		j.requestRecovery(c)
		verdict, a.FromVotes, a.Rule = mesh.Down, false, notRecovered
	}
	c.tally, c.rule, c.positive = t, a.Rule, a.FromVotes
	j.refresh(c, verdict, a.FromVotes)
	if broken(verdict) && j.holds(c, verdict) {
		return
	}
	c.heldSince = time.Time{}
	if verdict != c.verdict {
		j.become(c, verdict, out)
	}
	j.publish(c, out)
}

// verdictOf is what the answer makes of the check.
func (j *Judge) verdictOf(c *check, a quorum.Answer) mesh.Verdict {
	if a.Verdict == mesh.Up && j.degraded(c) {
		return mesh.Degraded
	}
	return a.Verdict
}

// askAgain is when the way out of down is worth another round: at once where a region that says ok must only see more
// successes, and else only now and then, since it is the other regions that it waits for.
func (j *Judge) askAgain(c *check) time.Time {
	for _, b := range j.regionsThatVote(c, mesh.OK) {
		if j.successesIn(b) < j.rule.RecoverSuccesses {
			return j.now
		}
	}
	return j.now.Add(j.rule.PartialAfter)
}

const notRecovered = "down until half of the voting regions saw two successes each"

// recovered is the way out of down: enough of the voting regions saw enough successes.
func (j *Judge) recovered(c *check, t mesh.Tally) bool {
	saw := 0
	for _, b := range j.regionsThatVote(c, mesh.OK) {
		if j.successesIn(b) >= j.rule.RecoverSuccesses {
			saw++
		}
	}
	return saw > 0 && float64(saw) >= j.rule.RecoverShare*float64(t.OK+t.Bad)
}

// refresh works out until when the votes that make the verdict are fresh. Votes that agree with what is only held make nothing:
// one region that says ok, again and again, does not keep a check up that most others have lost. Down is left by successes or
// when nobody says bad any more.
func (j *Judge) refresh(c *check, verdict mesh.Verdict, positive bool) {
	until := j.freshUntil(c, verdict)
	if verdict != c.verdict || (positive || verdict == mesh.Down) && until.After(c.madeBy) {
		c.madeBy = until
	}
}

// renew does so before a round begins. A look that only confirms the verdict is not weighed when it comes, and once the round is
// open it is a vote from before that.
func (j *Judge) renew(c *check) {
	t, _ := j.tally(c, asHeard)
	a := j.ask(c, t, false, false)
	j.refresh(c, c.verdict, a.FromVotes && j.verdictOf(c, a) == c.verdict)
}

// freshUntil is when the last of the votes that agree with the verdict expires.
func (j *Judge) freshUntil(c *check, verdict mesh.Verdict) time.Time {
	agrees := mesh.OK
	if broken(verdict) {
		agrees = mesh.Bad
	}
	var last time.Time
	for _, e := range c.edges {
		if e.vantage.region == c.host.config.Region || !j.expires(e).After(last) {
			continue
		}
		if vote, _ := j.vote(e); vote == agrees {
			last = j.expires(e)
		}
	}
	return last
}

// degraded reports whether most of the regions that say ok are over one of the check's objectives.
func (j *Judge) degraded(c *check) bool {
	if c.config.Latency == 0 && c.config.Loss == 0 {
		return false
	}
	regions, over := 0, 0
	for _, b := range j.regionsThatVote(c, mesh.OK) {
		regions++
		worse, asked := 0, 0
		for _, e := range b.edges {
			if j.leftOut(e) {
				continue
			}
			asked++
			if c.config.Latency > 0 && e.rtt > c.config.Latency || c.config.Loss > 0 && e.loss > c.config.Loss {
				worse++
			}
		}
		if 2*worse > asked {
			over++
		}
	}
	return float64(over) > j.rule.DegradedShare*float64(regions)
}

func (e *edge) notPermitted() bool {
	return !e.never() && e.outcome == mesh.Inconclusive && strings.HasPrefix(e.reason, mesh.ReasonNotPermitted)
}

// forbidden reports whether no vantage may run the check: then it says nothing of the host.
func (j *Judge) forbidden(c *check) bool {
	told := false
	for _, e := range c.edges {
		if e.vantage.region == c.host.config.Region || !e.vantage.counts() || e.vantage.silent || e.never() {
			continue
		}
		if !e.cannotAsk() {
			return false
		}
		told = told || e.notPermitted()
	}
	return told
}

// become changes what the quorum holds true of the check.
func (j *Judge) become(c *check, verdict mesh.Verdict, out *Output) {
	was := c.verdict
	c.since = j.began(c, verdict)
	c.verdict = verdict
	c.dissent, c.requestedBy = nil, nil // what is said against the new verdict is new
	if (was == mesh.Down) != (verdict == mesh.Down) && was != mesh.Pending {
		c.flap.charge(j.rule, j.now)
	}
	if broken(verdict) && !broken(was) {
		j.blame(c)
	}
	if verdict == mesh.Down {
		j.suspect(c.host)
	}
}

// publish says the check's verdict where it differs from what was said last.
func (j *Judge) publish(c *check, out *Output) {
	was := c.published
	c.published = j.damped(c)
	if c.damps() {
		c.rule = flapping
	}
	if c.published != was {
		c.sentence = j.sentence(c)
		out.Transitions = append(out.Transitions, j.transition(c.host, c, was))
	}
	c.host.acquit()
}

// settleHost publishes a change of the host's status that no verdict caused: a check was removed, or may not be run.
func (j *Judge) settleHost(h *host, out *Output) {
	if h.judged() != h.status {
		out.Transitions = append(out.Transitions, j.transition(h, nil, ""))
	}
}

// transition takes the host to the status that its checks make, and tells how it came. The check is nil when no verdict changed.
func (j *Judge) transition(h *host, c *check, was mesh.Verdict) mesh.Transition {
	t := mesh.Transition{
		Sequence: j.sequence, Host: h.config.Name, Public: h.config.Public, From: h.status, To: h.judged(),
		Began: j.now, Published: j.now, Sentence: sentence.ChecksChanged,
		Rule: "the status follows from the checks that are left",
	}
	if c != nil {
		t.Check, t.Was, t.Verdict, t.Began, t.Cause = c.config.Name, was, c.published, c.since, h.cause
		t.Sentence, t.Rule, t.Tally, t.Votes = c.sentence, c.rule, c.tally, j.votes(c)
	}
	if t.To != t.From {
		h.status, h.since = t.To, t.Began
	}
	j.issued++
	t.ID = fmt.Sprintf("%d-%s-%d", j.sequence, h.key, j.issued)
	return t
}

// judged is the status that follows from the verdicts of the host's checks.
func (h *host) judged() mesh.Status {
	checks := make([]status.Check, len(h.checks))
	for i, c := range h.checks {
		checks[i] = status.Check{Verdict: c.published, Critical: c.config.Critical, LeftOut: c.leftOut}
	}
	return status.Of(checks)
}
