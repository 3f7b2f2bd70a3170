package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/status"
)

// rounds decides when every vantage outside a host's region must probe all its checks now: rule 6. Checks, edges and
// gossip request rounds; openDue opens those that are due and can be paid for.
type rounds struct {
	env       *environment
	mesh      *topology
	budget    budget
	requested []*host             // with requests
	asks      []mesh.RoundRequest // of this step
	bases     []basis             // of the requests that paid for these
}

// round is one request for immediate probes.
type round struct {
	id     uint64
	opened time.Time
	since  time.Time // when the probe that caused it began: an ok begun before counts neither way

	// answered says that a vantage probed because of it, which proves that agents were asked. A judge that replays asks
	// nobody.
	answered   bool
	requesters []requester
}

// basis is what a request for a round rests on, and decides which account pays for it. A higher one replaces a lower.
type basis uint8

const (
	// Another host of the region fell, or this one is dead by gossip; the host pays, from what it has to spare.
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
	vantage    *vantage // whose edges ask, and whose account pays; nil: the host's account
	basis      basis
	since      time.Time // see round
	due        time.Time
	requesters []requester
}

// requester is an edge that requested a round. It does not refer to the edge itself: a catalog may replace that before
// the round closes.
type requester struct {
	vantage *vantage
	check   string // its id
	family  mesh.Family
	vote    mesh.Vote // what it had found before the round
}

// reset adopts the requests and the budget of a new catalog's hosts.
func (r *rounds) reset() {
	r.requested, r.budget.rate = nil, 0
	for _, h := range r.mesh.hosts {
		if len(h.requests) > 0 {
			r.requested = append(r.requested, h)
		}
		r.budget.rate += h.scheduled
	}
	r.budget.rate *= r.env.rule.RoundBudget
}

// request records a request for a round of the host. Requests of one payer are merged; those of different payers are
// kept apart, so that none can delay or displace another.
func (r *rounds) request(h *host, q roundRequest) {
	// At most one round a second per host, whoever pays.
	if next := h.lastRound.Add(r.env.rule.RoundEvery); q.due.Before(next) {
		q.due = next
	}
	// An agent whose clock is fast must not make answers from now on count as earlier than the round's cause.
	if q.since.After(r.env.now) {
		q.since = r.env.now
	}
	i := slices.IndexFunc(h.requests, func(o roundRequest) bool { return o.vantage == q.vantage })
	if i < 0 {
		if len(h.requests) == 0 {
			r.requested = append(r.requested, h)
		}
		h.requests = append(h.requests, q)
		return
	}
	have := &h.requests[i]
	if q.basis == hinted && q.basis != have.basis {
		return // a hint does not hurry a request that has to wait
	}
	have.basis = max(have.basis, q.basis)
	if q.due.Before(have.due) {
		have.due = q.due
	}
	if q.since.After(have.since) {
		have.since = q.since
	}
	for _, requester := range q.requesters {
		if !slices.Contains(have.requesters, requester) {
			have.requesters = append(have.requesters, requester)
		}
	}
}

// requestFor requests a round for what the edge found in a probe that began at the given time, if the edge may
// request one.
func (r *rounds) requestFor(e *edge, b basis, vote mesh.Vote, began, due time.Time) {
	if !e.mayRequest(r.env) || !e.backoff().ready(r.env.now) {
		return
	}
	q := requester{vantage: e.vantage, check: e.check.id, family: e.family, vote: vote}
	r.request(e.check.host, roundRequest{
		vantage: q.vantage, basis: b, since: began, due: due, requesters: []requester{q},
	})
}

// requestConfirmation requests the round that must confirm votes which look bad.
func (r *rounds) requestConfirmation(c *check, a quorum.Answer, due time.Time) {
	b := verdictWaits
	c.rounds.requestedBy = c.dissenting(r.env)
	if a.Partial && !r.mayRecover(c) {
		if until := r.dissentUntil(c); due.Before(until) {
			due = until // earlier rounds did not confirm what these regions vote
		}
		// No account pays for the confirmation of an outage that is not published yet: a host whose recovery took many
		// rounds must not hide its next outage for want of one.
		if c.verdict == mesh.Down {
			b = regionsDisagree
		}
	}
	r.request(c.host, roundRequest{basis: b, since: r.env.now, due: due})
}

// requestRecovery requests a round for a check that is down and has ok votes: it may have recovered. If only one region
// votes ok and that is not enough to recover, that region's vantages are the requesters.
func (r *rounds) requestRecovery(c *check) {
	regions, due := c.regionsThatVote(r.env, mesh.OK), r.recoveryDue(c)
	c.rounds.requestedBy = c.dissenting(r.env)
	if r.mayRecover(c) {
		// The dissent backoff does not apply here, on purpose. Enough regions vote ok, so this round probably lifts the
		// check, and a wait of up to 5 min would publish an outage that is over for that much longer. A few lying
		// regions cannot exploit it: mayRecover is false once each of them has led to several rounds in vain, and then
		// the backoff below applies.
		r.request(c.host, roundRequest{basis: verdictWaits, since: r.env.now, due: due})
		return
	}
	if until := r.dissentUntil(c); due.Before(until) {
		due = until
	}
	if len(regions) > 1 {
		r.request(c.host, roundRequest{basis: regionsDisagree, since: r.env.now, due: due})
		return
	}
	for _, b := range regions {
		for _, e := range b.edges {
			if vote, _ := e.vote(r.env); vote == mesh.OK {
				r.requestFor(e, edgeMissed, mesh.OK, r.env.now, due)
			}
		}
	}
}

// recoveryDue returns when the way out of down is worth another round: at once if a region that votes ok only needs
// more successes, and else after a while, since it is the other regions that it waits for.
func (r *rounds) recoveryDue(c *check) time.Time {
	for _, b := range c.regionsThatVote(r.env, mesh.OK) {
		if b.successes(r.env) < r.env.rule.RecoverSuccesses {
			return r.env.now
		}
	}
	return r.env.now.Add(r.env.rule.PartialAfter)
}

// mayRecover reports whether the check is down and enough regions vote ok to lift it once they saw enough successes. If
// a few rounds of the same regions did not lift it, the reason is another one: other regions are missing, or one of
// these never sees two successes in a row.
func (r *rounds) mayRecover(c *check) bool {
	const enough = 4 // rounds
	ok, bad := len(c.regionsThatVote(r.env, mesh.OK)), len(c.regionsThatVote(r.env, mesh.Bad))
	if c.verdict != mesh.Down || ok < 2 || !status.EnoughToRecover(r.env.rule, ok, ok+bad) {
		return false
	}
	rounds, _ := c.rounds.dissents.least(c.dissenting(r.env), r.env.now)
	return rounds < enough
}

// dissentUntil returns when the regions that vote against the check's verdict may request the next round.
func (r *rounds) dissentUntil(c *check) time.Time {
	_, until := c.rounds.dissents.least(c.dissenting(r.env), r.env.now)
	return until
}

// requestAfterFailures requests another round after one that closed, for edges that turned bad by a probe which began
// after it opened: vantages that answered it with an ok had probed before that.
func (r *rounds) requestAfterFailures(c *check, closed *round) {
	if broken(c.verdict) || c.held() {
		return
	}
	for _, e := range c.edges {
		later := !e.own() && e.bad() && e.round == 0 && e.missedAt.After(closed.opened)
		if next := c.rounds.next; later && (next == nil || next.since.Before(e.missedAt)) {
			r.requestFor(e, edgeFailed, mesh.Bad, e.missedAt, r.env.now)
		}
	}
}

// probeSiblings requests rounds for the other hosts of a fallen host's region, if the budget permits: what was cut may
// cut them off too.
func (r *rounds) probeSiblings(h *host) {
	for _, o := range r.mesh.hosts {
		if o != h && o.config.Region == h.config.Region && len(o.requests) == 0 && !o.inRound() {
			r.request(o, roundRequest{basis: hinted, since: r.env.now})
		}
	}
}

// openDue opens the rounds that are due.
func (r *rounds) openDue() {
	if len(r.requested) == 0 {
		return
	}
	r.requested = slices.DeleteFunc(r.requested, func(h *host) bool {
		r.open(h)
		return len(h.requests) == 0
	})
}

// open opens the host's round if one of the requests that are due can pay for it. Those that cannot are dropped:
// whatever caused them requests again. The round answers the requests that are not due yet, too.
func (r *rounds) open(h *host) {
	opened, cost := &round{id: r.env.sequence, opened: r.env.now}, h.roundCost()
	var payer *roundRequest
	waiting := h.requests[:0:0]
	for i := range h.requests {
		q := &h.requests[i]
		switch {
		case r.env.now.Before(q.due):
			waiting = append(waiting, *q)
			continue
		case !r.budget.affords(r.env, h, q.vantage, q, cost):
			continue
		case payer == nil || q.basis == verdictWaits:
			payer = q
		}
		if q.since.After(opened.since) {
			opened.since = q.since
		}
		opened.requesters = append(opened.requesters, q.requesters...)
	}
	if payer == nil {
		h.requests = waiting
		return
	}
	r.budget.pay(r.env, h, payer.vantage, cost)
	h.requests, h.lastRound = nil, r.env.now
	for _, c := range h.checks {
		r.enter(c, opened)
	}
	r.asks = append(r.asks, mesh.RoundRequest{Round: opened.id, Host: h.key, Since: opened.since})
	r.bases = append(r.bases, payer.basis)
}

// enter makes the check take part in the round. A check that is still in an earlier round finishes that first, so
// that successive rounds never prevent it from closing one; the newer one is judged as soon as it can be, see pass.
func (r *rounds) enter(c *check, opened *round) {
	switch {
	case len(c.edges) == 0:
	case c.rounds.current == nil && !c.held():
		c.refreshBeforeRound(r.env)
		c.rounds.current = opened
	default:
		if c.rounds.next != nil {
			r.settleRequesters(c, c.rounds.next)
		}
		c.rounds.next = opened
	}
}

// pass lets the check's next round replace the open one if the next one's outcome is known: a vantage that leaves a
// round unanswered does not hold up what began after that round.
func (r *rounds) pass(c *check) {
	p := &c.rounds
	if p.current == nil || p.next == nil || c.held() {
		p.takeNext(c.held())
		return
	}
	open := p.current
	p.current = p.next
	if !r.outcomeKnown(c) {
		p.current = open
		return
	}
	p.next = nil
	r.settleRequesters(c, open)
}

// outcomeKnown reports whether no answer to the check's round is missing, or the missing ones cannot change the
// verdict.
func (r *rounds) outcomeKnown(c *check) bool {
	best, missing := c.count(r.env, asOK)
	if c.belowPriorRegions(r.env, best) {
		return false
	}
	if !missing {
		return true
	}
	a, same := sameEitherWay(r.env, c, best, true)
	return same && !a.Partial
}

// close ends the check's part in its round, and returns the round.
func (r *rounds) close(c *check) *round {
	closed := c.rounds.close(c.edges)
	r.settleRequesters(c, closed)
	c.noteDissent(r.env)
	return closed
}

// settleRequesters updates the backoff of the edges that requested the round for the check: it is cleared if another
// region found the same in the round, and grows if none did.
func (r *rounds) settleRequesters(c *check, closed *round) {
	for _, q := range closed.requesters {
		v := q.vantage
		if q.check != c.id {
			continue
		}
		e := v.edges[target{c.host.key, c.config.Name, q.family}]
		if e == nil {
			continue
		}
		another := func(b *ballot) bool { return b.region != v.region }
		if slices.ContainsFunc(c.regionsThatVote(r.env, q.vote), another) {
			e.alone = nil
		} else {
			e.backoff().fail(r.env.now)
		}
	}
}
