package judge

import (
	"slices"
	"time"
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

	// budgetInterval is the longest interval that the budget of rounds is a share of. With the share of a schedule of one
	// probe a minute, two failures within some minutes would leave nothing for a third.
	budgetInterval = 10 * time.Second

	aloneFirst  = 5 * time.Second // how long an edge waits after the first round that no other region confirmed
	aloneMost   = 5 * time.Minute // and at most
	calmAtLeast = time.Minute     // after this long without a request, an edge's failures are forgotten
	doublings   = 6               // enough to raise aloneFirst past aloneMost; more could overflow

	refundWithin = 15 * time.Second // a round that opened earlier did not find what the quorum now confirms
	paymentsMax  = 32               // of a host, remembered for that; rounds are at least a second apart
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

// budget is what rounds may cost, and which account pays.
type budget struct {
	rate     float64 // extra probes a second, of the whole mesh
	vantages int     // that are part of the mesh
}

// affords reports whether the request's account can pay for a round of cost probes. v is the vantage that requests it,
// or nil.
func (b *budget) affords(env *environment, h *host, v *vantage, q *roundRequest, cost float64) bool {
	switch q.basis {
	case verdictWaits:
		return true // one agent cannot cause it, and a budget must not hide a failure that all regions see
	case regionsDisagree:
		return b.refillHost(env, h, cost).balance >= cost
	case hinted:
		return b.refillHost(env, h, cost).balance >= cost*hostRounds/2 // leave enough for the host's own failures
	}
	if v == nil || v.abstains(env) != "" {
		return false
	}
	depth := b.refillVantage(env, v)
	if q.basis == edgeFailed {
		// First misses are frequent and mostly noise, so only a failure after its retries may overdraw the account.
		return v.account.balance > -max(depth, cost)
	}
	return v.account.balance > 0
}

// payment is what a round of a host cost, and which account paid.
type payment struct {
	vantage *vantage // nil: the host
	cost    float64
	at      time.Time
}

// pay charges a round to the vantage that requested it, or to the host if that is nil. A vantage's balance may fall
// below zero; until it is positive again, only an edge that failed after its retries may open a round on it, see
// affords.
func (b *budget) pay(env *environment, h *host, v *vantage, cost float64) {
	if len(h.payments) == paymentsMax {
		h.payments = slices.Delete(h.payments, 0, 1)
	}
	if v != nil {
		v.account.balance -= cost
		h.payments = append(h.payments, payment{v, cost, env.now})
		return
	}
	a := b.refillHost(env, h, cost)
	h.payments = append(h.payments, payment{nil, min(cost, a.balance), env.now})
	a.balance = max(a.balance-cost, 0)
}

// refund returns what the host's latest rounds cost, because the quorum confirmed what requested them. The budget
// bounds what a few agents can make all others do; without the refund, true failures that follow one another would use
// it up, and each would be found later than the one before. The next refill caps an account that is more than full.
func (b *budget) refund(env *environment, h *host) {
	for _, p := range h.payments {
		switch {
		case env.now.Sub(p.at) > refundWithin:
		case p.vantage != nil:
			p.vantage.account.balance += p.cost
		default:
			h.account.balance += p.cost
		}
	}
	h.payments = nil
}

// refillVantage brings the vantage's account up to date, and returns its depth.
func (b *budget) refillVantage(env *environment, v *vantage) (depth float64) {
	rate := b.rate * vantagesShare / float64(max(b.vantages, 1))
	depth = rate * budgetDepth.Seconds()
	v.account.refill(env.now, rate, depth)
	return depth
}

// refillHost brings the host's account up to date. cost is how many probes a round of the host takes.
func (b *budget) refillHost(env *environment, h *host, cost float64) *account {
	rate := h.scheduled * env.rule.RoundBudget * (1 - vantagesShare)
	h.account.refill(env.now, rate, max(rate*budgetDepth.Seconds(), cost*hostRounds))
	return &h.account
}
