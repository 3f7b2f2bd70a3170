package judge

import (
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The budget of rounds is a rate of extra probes: the share rule.RoundBudget of the scheduled ones. It is not one
// pool, since a single vantage could empty a pool and make all others wait. Half of it is divided evenly among the
// vantages that count, each of which pays for the rounds that its own failures request. The rest is divided among the
// hosts, each of which pays for the rounds that the votes of several regions request.
const vantagesShare = 0.5

const (
	// hostRounds is how many rounds a full account of a host pays for at least: two for a partial outage, and two to
	// recover.
	hostRounds  = 4
	budgetDepth = time.Minute // what an account may save up

	aloneFirst  = 5 * time.Second // how long an edge waits after the first round that no other region confirmed
	aloneMost   = 5 * time.Minute // and at most
	calmAtLeast = time.Minute     // after this long without a request, an edge's failures are forgotten
	doublings   = 6               // enough to raise aloneFirst past aloneMost; more could overflow
)

// account pays for rounds. Its balance is in probes.
type account struct {
	balance float64
	at      time.Time // when the balance was computed; zero: the account is new, and full
}

// refill adds what was earned since the last time, at rate probes a second, up to depth.
func (a *account) refill(now time.Time, rate, depth float64) {
	if a.at.IsZero() {
		a.balance = depth
	} else if earned := now.Sub(a.at); earned > 0 {
		a.balance += rate * earned.Seconds()
	}
	a.balance, a.at = min(a.balance, depth), now
}

// backoff delays an edge's next request for a round after rounds that did not confirm what it had found.
type backoff struct {
	failures int
	until    time.Time
	last     time.Time // the latest attempt
}

// delay returns how long to wait after this many failures: first, doubled for each further one, up to aloneMost.
func delay(first time.Duration, failures int) time.Duration {
	return min(first<<min(max(failures-1, 0), doublings), aloneMost)
}

// ready records an attempt, and reports whether it may proceed. After a calm period, earlier failures are forgotten.
func (b *backoff) ready(now time.Time) bool {
	if calm := max(calmAtLeast, 2*delay(aloneFirst, b.failures)); now.Sub(b.last) >= calm {
		b.failures, b.until = 0, time.Time{}
	}
	b.last = now
	return !now.Before(b.until)
}

// fail records a failure, which lengthens the wait.
func (b *backoff) fail(now time.Time) {
	b.failures++
	b.until = now.Add(delay(aloneFirst, b.failures))
}

// backoff returns the edge's backoff and creates it where there is none, since few edges need one.
func (e *edge) backoff() *backoff {
	if e.alone == nil {
		e.alone = &backoff{}
	}
	return e.alone
}

// mayRequest reports whether the edge may request a round: not if it is isolated or its vantage abstains.
func (j *Judge) mayRequest(e *edge) bool { return !e.isolated() && j.abstains(e.vantage) == "" }

// own reports whether the edge is in the host's own region, which has no vote on it.
func (e *edge) own() bool { return e.vantage.region == e.check.host.config.Region }

// affords reports whether the request's account can pay for a round of cost probes.
func (j *Judge) affords(h *host, r *roundRequest, cost float64) bool {
	switch r.basis {
	case verdictWaits:
		return true // one agent cannot cause it, and a budget must not hide a failure that all regions see
	case regionsDisagree:
		return j.refillHost(h, cost).balance >= cost
	case hinted:
		return j.refillHost(h, cost).balance >= cost*hostRounds/2 // leave enough for the host's own failures
	}
	v := j.vantages[r.vantage]
	if v == nil || j.abstains(v) != "" {
		return false
	}
	depth := j.refillVantage(v)
	if r.basis == edgeFailed {
		// First misses are frequent and mostly noise, so only a failure after its retries may overdraw the account.
		return v.rounds.balance > -max(depth, cost)
	}
	return v.rounds.balance > 0
}

// pay charges the round to the account that the request draws on. A vantage's balance may fall below zero; until it is
// positive again, only an edge that failed after its retries may open a round on it, see affords.
func (j *Judge) pay(h *host, r *roundRequest, cost float64) {
	if v := j.vantages[r.vantage]; v != nil {
		v.rounds.balance -= cost
		return
	}
	a := j.refillHost(h, cost)
	a.balance = max(a.balance-cost, 0)
}

// refillVantage brings the vantage's account up to date, and returns its depth.
func (j *Judge) refillVantage(v *vantage) (depth float64) {
	rate := j.budget * vantagesShare / float64(max(j.counted, 1))
	depth = rate * budgetDepth.Seconds()
	v.rounds.refill(j.now, rate, depth)
	return depth
}

// refillHost brings the host's account up to date. cost is how many probes a round of the host takes.
func (j *Judge) refillHost(h *host, cost float64) *account {
	rate := h.scheduled * j.rule.RoundBudget * (1 - vantagesShare)
	h.rounds.refill(j.now, rate, max(rate*budgetDepth.Seconds(), cost*hostRounds))
	return &h.rounds
}

// requester is an edge that asked for a round, by name: a catalog may replace the edge before the round closes.
type requester struct {
	vantage, check string
	family         mesh.Family
	vote           mesh.Vote // what it had found before the round
}

// settleRequesters updates the backoff of the edges that requested the round for the check: it is cleared where
// another region found the same in the round, and grows where none did.
func (j *Judge) settleRequesters(c *check, r *round) {
	for _, q := range r.requesters {
		v := j.vantages[q.vantage]
		if q.check != c.config.Name || v == nil {
			continue
		}
		e := v.edges[target{c.host.key, q.check, q.family}]
		if e == nil {
			continue
		}
		another := func(b *ballot) bool { return b.region != v.region }
		if slices.ContainsFunc(j.regionsThatVote(c, q.vote), another) {
			e.alone = nil
		} else {
			e.backoff().fail(j.now)
		}
	}
}

// dissent is what one region's votes against a check's verdict led to: rounds that did not change it.
type dissent struct {
	region string
	rounds int
	last   time.Time
	until  time.Time // the region does not request another round before this
}

// forgotten reports whether the region was quiet for long enough to be treated as one that never dissented.
func (d dissent) forgotten(now time.Time) bool {
	return now.Sub(d.last) > max(calmAtLeast, 2*d.until.Sub(d.last))
}

// dissenting returns the regions that vote against the check's verdict.
func (j *Judge) dissenting(c *check) []string {
	if c.verdict == mesh.Down {
		return j.regionNames(c, mesh.OK)
	}
	return j.regionNames(c, mesh.Bad)
}

// dissentOf returns what is recorded of the region's votes against the check's verdict: nothing if that is forgotten.
func (j *Judge) dissentOf(c *check, region string) dissent {
	for _, d := range c.dissent {
		if d.region == region && !d.forgotten(j.now) {
			return d
		}
	}
	return dissent{region: region}
}

// noteDissent counts a round that closed for the regions which requested it, and for those that voted against the
// verdict at its end. A region that requests rounds and denies it in each of them is thereby counted, too.
//
// Rounds come in pairs, since a partial outage takes two that are PartialAfter apart, and it is the time between pairs
// that grows: fourfold, so that the host's account outlasts it. A round that others requested while the region waited
// is not one of its pair.
func (j *Judge) noteDissent(c *check) {
	regions := slices.Concat(c.requestedBy, j.dissenting(c))
	slices.Sort(regions)
	regions, c.requestedBy = slices.Compact(regions), nil
	if c.verdict != mesh.Down && len(regions) < j.rule.BadRegionsMin {
		return // a lone region's rounds are limited by its edges' backoff: what it found may be half of an outage later
	}
	for _, region := range regions {
		d := j.dissentOf(c, region)
		if j.now.Before(d.until) {
			continue
		}
		d.rounds, d.last = d.rounds+1, j.now
		d.until = j.now.Add(j.rule.PartialAfter)
		if d.rounds%2 == 0 {
			d.until = j.now.Add(delay(j.rule.PartialAfter, d.rounds+1))
		}
		c.dissent = slices.DeleteFunc(c.dissent, func(old dissent) bool { return old.region == region })
		c.dissent = append(c.dissent, d)
	}
}

// leastDissent returns the fewest rounds that the regions which vote against the verdict led to without changing it,
// and when the first of them may request the next. Each region waits for itself: one that had not voted against the
// verdict before requests a round at once, whoever else did, and however often.
func (j *Judge) leastDissent(c *check) (rounds int, until time.Time) {
	for i, region := range j.dissenting(c) {
		d := j.dissentOf(c, region)
		if i == 0 || d.rounds < rounds {
			rounds = d.rounds
		}
		if i == 0 || d.until.Before(until) {
			until = d.until
		}
	}
	return rounds, until
}

// scheduledProbes returns how many probes a second the schedule of the host's checks takes.
func (h *host) scheduledProbes() float64 {
	n := 0.0
	for _, c := range h.checks {
		n += float64(len(c.edges)) / c.config.Interval.Seconds()
	}
	return n
}

// probes returns what a round of the host costs: one probe for each edge that is asked, and at least one.
func (h *host) probes() float64 {
	n := 0
	for _, c := range h.checks {
		for _, e := range c.edges {
			if e.vantage.region != h.config.Region && e.vantage.counts() && !e.vantage.silent {
				n++
			}
		}
	}
	return math.Max(float64(n), 1)
}
