package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/status"
)

// host is the state of one host.
type host struct {
	config  *catalog.Host
	key     string
	id      string
	vantage *vantage // the same host as a place that probes are sent from
	checks  []*check
	status  mesh.Status
	since   time.Time
	aside   mesh.Status // that its internal checks make, if the host is public: see mesh.Transition.Aside

	requests  []roundRequest
	lastRound time.Time
	account   account // pays for rounds that no single vantage requests
	payments  []payment
	scheduled float64 // probes a second of its checks

	cause string // of its present outage: see correlation
	dead  bool   // by gossip: see gossip.markDead
}

// check returns the host's check of that name, or nil.
func (h *host) check(name string) *check {
	i := slices.IndexFunc(h.checks, func(c *check) bool { return c.config.Name == name })
	if i < 0 {
		return nil
	}
	return h.checks[i]
}

// inherit carries over the state of the host under the catalog before.
func (h *host) inherit(old *host, before *catalog.Pairing) {
	h.dead = old.dead
	h.status, h.since, h.lastRound, h.requests = old.status, old.since, old.lastRound, old.requests
	h.account, h.payments, h.cause = old.account, old.payments, old.cause
	moved := !h.config.SameAddresses(old.config)
	for _, c := range h.checks {
		config := before.Check(h.config, old.config, c.config)
		if config == nil {
			continue
		}
		if was := old.check(config.Name); was != nil {
			c.inherit(was, !moved && was.config.SameQuestion(c.config))
		}
	}
	// No transition says what was removed, or counts otherwise now: the ledger ends such outages by itself.
	h.aside = h.asideStatus()
}

// restoreStatus sets the status that follows from the restored checks, and forgets the cause of an outage that is over.
func (h *host) restoreStatus() {
	h.status, h.aside = h.currentStatus(), h.asideStatus()
	h.clearCause()
	for _, c := range h.checks {
		if c.since.After(h.since) {
			h.since = c.since
		}
	}
}

// currentStatus returns the status that follows from the published verdicts of the host's checks.
func (h *host) currentStatus() mesh.Status {
	return h.statusOf(func(c *check) bool { return !aside(c) }, func(string) bool { return false })
}

// asideStatus returns the status that follows from those checks alone that do not count in the host's.
func (h *host) asideStatus() mesh.Status {
	return h.statusOf(aside, func(string) bool { return false })
}

// statusOf returns the status that some checks make while others are covered by a maintenance, by their ids.
func (h *host) statusOf(counts func(*check) bool, covered func(check string) bool) mesh.Status {
	var checks []status.Check
	for _, c := range h.checks {
		if counts(c) {
			checks = append(checks, status.Check{
				Verdict: c.published, Critical: c.config.Critical, LeftOut: c.leftOut, Covered: covered(c.id),
			})
		}
	}
	return status.Of(checks)
}

// inRound reports whether one of the host's checks is in a round.
func (h *host) inRound() bool {
	return slices.ContainsFunc(h.checks, func(c *check) bool { return c.rounds.latest() != nil })
}

// mayFall reports whether one of the host's checks is not down yet.
func (h *host) mayFall() bool {
	return slices.ContainsFunc(h.checks, func(c *check) bool { return c.verdict != mesh.Down })
}

// clearCause forgets the cause once none of the host's checks is down or partial.
func (h *host) clearCause() {
	ongoing := func(c *check) bool { return broken(c.verdict) || broken(c.published) || c.held() }
	if !slices.ContainsFunc(h.checks, ongoing) {
		h.cause = ""
	}
}

// scheduledProbes returns how many probes a second the schedule of the host's checks takes. A check that is rarely
// probed counts as if it were probed every budgetInterval: its failures must be confirmed as fast as those of others.
func (h *host) scheduledProbes() float64 {
	n := 0.0
	for _, c := range h.checks {
		n += float64(len(c.edges)) / min(c.config.Interval, budgetInterval).Seconds()
	}
	return n
}

// roundCost returns how many probes a round of the host takes: one for each edge that is asked, and at least one.
func (h *host) roundCost() float64 {
	n := 0
	for _, c := range h.checks {
		for _, e := range c.edges {
			if !e.own() && e.vantage.counts() && !e.vantage.silent {
				n++
			}
		}
	}
	return float64(max(n, 1))
}
