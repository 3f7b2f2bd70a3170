package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// round is one request for immediate probes: every vantage outside the host's region probes all the host's checks.
type round struct {
	id     uint64
	opened time.Time
	since  time.Time // when the look that caused it began: an ok begun before counts neither way

	// answered says that somebody looked because of it: then agents were asked, which a judge that replays cannot do.
	answered   bool
	requesters []requester
}

// basis is what a request for a round rests on, and decides which account pays for it. A higher one replaces a lower.
type basis uint8

const (
	// Another host of the region fell, or gossip holds this one dead; the host pays, from what it has to spare.
	hinted basis = iota
	// An edge's first miss, or its first success on a check that is down; the vantage pays.
	edgeMissed
	// An edge failed after its retries; the vantage pays, and may overdraw its account.
	edgeFailed
	// Two or more regions vote against the verdict; the host pays.
	regionsDisagree
	// The votes would change the verdict if a round confirmed them; never refused.
	verdictWaits
)

// roundRequest asks for a round of a host.
type roundRequest struct {
	vantage    string // whose edges ask, and whose account pays; empty: the host's account
	basis      basis
	since      time.Time // see round
	due        time.Time
	requesters []requester
}

// request records a request for a round of the host. The round opens when the step ends, so that the rest of the step
// is judged as before the round. Requests of one payer are merged; those of different payers are kept apart, so that
// none can delay or displace another.
func (j *Judge) request(h *host, r roundRequest) {
	if next := h.lastAsk.Add(j.rule.RoundEvery); r.due.Before(next) {
		r.due = next
	}
	if r.since.After(j.now) {
		r.since = j.now
	}
	i := slices.IndexFunc(h.requests, func(o roundRequest) bool { return o.vantage == r.vantage })
	if i < 0 {
		if len(h.requests) == 0 {
			j.requested = append(j.requested, h)
		}
		h.requests = append(h.requests, r)
		return
	}
	have := &h.requests[i]
	if r.basis == hinted && r.basis != have.basis {
		return // a hint does not hurry what has to wait
	}
	have.basis = max(have.basis, r.basis)
	if r.due.Before(have.due) {
		have.due = r.due
	}
	if r.since.After(have.since) {
		have.since = r.since
	}
	for _, q := range r.requesters {
		if !slices.Contains(have.requesters, q) {
			have.requesters = append(have.requesters, q)
		}
	}
}

// requestFor requests a round for what the edge found in a probe that began at the given time, if the edge may
// request one.
func (j *Judge) requestFor(e *edge, b basis, vote mesh.Vote, began, due time.Time) {
	if !j.mayRequest(e) || !e.backoff().ready(j.now) {
		return
	}
	q := requester{vantage: e.vantage.key, check: e.check.config.Name, family: e.family, vote: vote}
	j.request(e.check.host, roundRequest{
		vantage: q.vantage, basis: b, since: began, due: due, requesters: []requester{q},
	})
}

// requestConfirmation requests the round that must confirm votes which look bad.
func (j *Judge) requestConfirmation(c *check, a quorum.Answer, due time.Time) {
	b := verdictWaits
	c.requestedBy = j.dissenting(c)
	if a.Partial && !j.mayRecover(c) {
		if _, until := j.leastDissent(c); due.Before(until) {
			due = until // what these regions say was not confirmed before
		}
		// No account pays for the confirmation of an outage that is not published yet: a host whose recovery took many rounds
		// must not hide its next outage for want of one.
		if c.verdict == mesh.Down {
			b = regionsDisagree
		}
	}
	j.request(c.host, roundRequest{basis: b, since: j.now, due: due})
}

// requestRecovery requests a round for a check that is down and has ok votes: it may have recovered. Where only one
// region votes ok and that is not enough to recover, that region's vantages are the requesters.
func (j *Judge) requestRecovery(c *check) {
	regions, due := j.regionsThatVote(c, mesh.OK), j.askAgain(c)
	c.requestedBy = j.dissenting(c)
	if j.mayRecover(c) {
		j.request(c.host, roundRequest{basis: verdictWaits, since: j.now, due: due})
		return
	}
	if _, until := j.leastDissent(c); due.Before(until) {
		due = until
	}
	if len(regions) > 1 {
		j.request(c.host, roundRequest{basis: regionsDisagree, since: j.now, due: due})
		return
	}
	for _, b := range regions {
		for _, e := range b.edges {
			if vote, _ := j.vote(e); vote == mesh.OK {
				j.requestFor(e, edgeMissed, mesh.OK, j.now, due)
			}
		}
	}
}

// mayRecover reports whether the check is down and enough regions say ok to lift it, once they saw enough successes.
// Where a few rounds of the same regions did not lift it, others are missing, or one that never sees two in a row.
func (j *Judge) mayRecover(c *check) bool {
	const enough = 4 // rounds
	ok, bad := len(j.regionsThatVote(c, mesh.OK)), len(j.regionsThatVote(c, mesh.Bad))
	if c.verdict != mesh.Down || ok < 2 || float64(ok) < j.rule.RecoverShare*float64(ok+bad) {
		return false
	}
	rounds, _ := j.leastDissent(c)
	return rounds < enough
}

// requestAfterFailures asks for another round because of edges that turned bad by a look which began after the round
// opened: vantages that answered it with an ok had probed before that.
func (j *Judge) requestAfterFailures(c *check, r *round) {
	if broken(c.verdict) || c.holding() {
		return
	}
	for _, e := range c.edges {
		later := !e.own() && e.bad() && e.round == 0 && e.missedAt.After(r.opened)
		if later && (c.nextRound == nil || c.nextRound.since.Before(e.missedAt)) {
			j.requestFor(e, edgeFailed, mesh.Bad, e.missedAt, j.now)
		}
	}
}

// openRounds opens the rounds that are due.
func (j *Judge) openRounds(out *Output) {
	if len(j.requested) == 0 {
		return
	}
	j.requested = slices.DeleteFunc(j.requested, func(h *host) bool {
		j.openRound(h, out)
		return len(h.requests) == 0
	})
}

// openRound opens the host's round if one of the requests that are due can pay for it. Those that cannot are dropped:
// whatever caused them requests again. The round answers the requests that are not due yet, too.
func (j *Judge) openRound(h *host, out *Output) {
	r, cost := &round{id: j.sequence, opened: j.now}, h.probes()
	var payer *roundRequest
	waiting := h.requests[:0:0]
	for i := range h.requests {
		q := &h.requests[i]
		switch {
		case j.now.Before(q.due):
			waiting = append(waiting, *q)
			continue
		case !j.affords(h, q, cost):
			continue
		case payer == nil || q.basis == verdictWaits:
			payer = q
		}
		if q.since.After(r.since) {
			r.since = q.since
		}
		r.requesters = append(r.requesters, q.requesters...)
	}
	if payer == nil {
		h.requests = waiting
		return
	}
	j.pay(h, payer, cost)
	h.requests, h.lastAsk = nil, j.now
	for _, c := range h.checks {
		j.enterRound(c, r)
	}
	out.Asks = append(out.Asks, mesh.Ask{Round: r.id, Host: h.key, Since: r.since})
}

// enterRound makes the check take part in the round. A check that is still in an earlier round finishes that first, so
// that successive rounds never prevent it from closing one; the newer one is judged as soon as it can be,
// see passRound.
func (j *Judge) enterRound(c *check, r *round) {
	switch {
	case len(c.edges) == 0:
	case c.round == nil && !c.holding():
		j.renew(c)
		c.round = r
	default:
		if c.nextRound != nil {
			j.settleRequesters(c, c.nextRound)
		}
		c.nextRound = r
	}
}

// passRound lets the check's next round take the place of the one that is open, where its outcome is known: a vantage
// that leaves a round unanswered does not hold up what began after that round.
func (j *Judge) passRound(c *check) {
	if c.round == nil || c.nextRound == nil || c.holding() {
		c.takeNextRound()
		return
	}
	open := c.round
	c.round = c.nextRound
	if !j.outcomeKnown(c) {
		c.round = open
		return
	}
	c.nextRound = nil
	j.settleRequesters(c, open)
}

// outcomeKnown reports whether no answer to the check's round is missing, or those that are cannot change the verdict.
func (j *Judge) outcomeKnown(c *check) bool {
	best, missing := j.tally(c, asOK)
	if j.few(c, best) {
		return false
	}
	worst, _ := j.tally(c, asBad)
	a, b := j.ask(c, best, true, false), j.ask(c, worst, true, false)
	return !missing || a.Verdict == b.Verdict && a.FromVotes && b.FromVotes && !a.Partial
}

// takeNextRound takes up the round that was opened while another was, now that this one closed. It reports whether
// there is one. What is held was decided by a round before: answers that a newer one still waits for do not count
// against it.
func (c *check) takeNextRound() bool {
	if c.round != nil || c.nextRound == nil || c.holding() {
		return false
	}
	c.round, c.nextRound = c.nextRound, nil
	return true
}

// endRound closes the check's part of its round, and returns the round.
func (j *Judge) endRound(c *check) *round {
	r := c.round
	c.closeRound()
	j.settleRequesters(c, r)
	j.noteDissent(c)
	return r
}

// noteAnswer records that a vantage probed because of the round.
func (c *check) noteAnswer(id uint64) {
	for _, r := range []*round{c.round, c.nextRound} {
		if r != nil && id >= r.id {
			r.answered = true
		}
	}
}

// latestRound is the newest round that the check takes part in, or nil.
func (c *check) latestRound() *round {
	if c.nextRound != nil {
		return c.nextRound
	}
	return c.round
}

// answered reports whether the edge's latest observation answers the round: any finished probe that began after the
// round's cause does.
func (e *edge) answered(r *round) bool {
	return !e.never() && (e.round >= r.id || !e.began.Before(r.since)) && !e.missed
}

// late reports whether the round's time for the check is over.
func (j *Judge) late(c *check) bool {
	limit := max(j.rule.RoundTimeout, c.config.Timeout+j.rule.RoundGrace)
	return j.now.Sub(c.round.opened) >= limit
}

// asked reports whether one of the host's checks is still in a round.
func (h *host) asked() bool {
	return slices.ContainsFunc(h.checks, func(c *check) bool { return c.latestRound() != nil })
}
