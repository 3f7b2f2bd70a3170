package judge

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// edge is one vantage's view of one check through one family.
type edge struct {
	vantage *vantage
	check   *check
	family  mesh.Family
	spare   bool // it takes no part in its check before the vantage's agent reports on it: see check.use

	// The latest live observation, which is the vote.
	outcome  mesh.Outcome
	reason   string
	address  string
	expiry   *mesh.Expiry
	rtt      time.Duration
	began    time.Time
	ended    time.Time
	missed   bool      // a first miss came, and its retries are under way
	muted    bool      // its ok did not answer a round, and counts for nothing before its next probe
	missedAt time.Time // when the probe with the first miss of the present bad run began
	round    uint64    // the round that the latest observation answers; 0: a scheduled probe
	streak   int       // good observations in a row
	answers  *answers  // the same with their times; nil for a ping. They may stand in for a ping that is lost

	history history
	loss    float64  // smoothed share of lost probes
	alone   *backoff // of rounds that did not confirm what the edge found; nil before it requested any
}

// unseen reports whether the edge has no observation yet.
func (e *edge) unseen() bool { return e.ended.IsZero() }

// bad reports whether the edge's latest observation is bad.
func (e *edge) bad() bool { return !e.unseen() && e.outcome == mesh.Unreachable }

func (e *edge) isolated() bool { return e.vantage.isolated[slot(e.family)] }

// own reports whether the edge is in the host's own region, which has no vote on it.
func (e *edge) own() bool { return e.vantage.region == e.check.host.config.Region }

func (e *edge) isPing() bool { return e.check.config.Kind == catalog.KindPing }

// expires returns until when the edge's latest observation counts: rule 2.
func (e *edge) expires() time.Time {
	return e.ended.Add(e.check.freshness)
}

func (e *edge) fresh(env *environment) bool { return env.now.Before(e.expires()) }

// isNews reports whether the observation is newer than the edge's latest one. A probe that was in flight when a round
// opened answers it too, so that the same probe may come a second time, with the round; any other repetition changes
// nothing.
func (e *edge) isNews(o *mesh.Observation) bool {
	if o.Began.Equal(e.began) {
		return o.Round > e.round
	}
	return o.Began.After(e.began)
}

// apply makes the observation the edge's latest one.
func (e *edge) apply(env *environment, o *mesh.Observation) {
	repeated, wasBad := o.Began.Equal(e.began), e.bad()
	if o.Outcome == mesh.Unreachable && !wasBad && !e.missed {
		e.missedAt = o.Began // the report of its first miss was lost
	}
	e.outcome, e.reason, e.rtt, e.began, e.ended = o.Outcome, o.Reason, o.RTT, o.Began, o.Ended()
	e.address, e.expiry = o.Address, o.Expiry
	e.missed, e.muted, e.round = false, false, o.Round
	e.vantage.countBad(e, wasBad)
	switch {
	case !e.outcome.Good():
		e.streak = 0
		if e.answers != nil {
			e.answers.end()
		}
	case !repeated:
		e.streak++
		if e.answers != nil {
			e.answers.add(e.began, env.rule.RecoverSuccesses)
		}
	}
	if o.Sent > 0 {
		const weight = 0.1 // of the latest observation
		e.loss += weight * (float64(o.Lost)/float64(o.Sent) - e.loss)
	}
}

// forget resets the edge to one without observations.
func (e *edge) forget() {
	if e.bad() {
		e.vantage.bad[slot(e.family)]--
	}
	blank := edge{vantage: e.vantage, check: e.check, family: e.family, spare: e.spare}
	if e.answers != nil {
		blank.answers = &answers{}
	}
	*e = blank
}

// answered reports whether the edge's latest observation answers the round. Any finished probe that began after the
// round's cause does.
func (e *edge) answered(r *round) bool {
	return !e.unseen() && (e.round >= r.id || !e.began.Before(r.since)) && !e.missed
}

// notPermitted reports whether the vantage's machine does not permit the probe.
func (e *edge) notPermitted() bool {
	return !e.unseen() && e.outcome == mesh.Inconclusive && strings.HasPrefix(e.reason, mesh.ReasonNotPermitted)
}

// cannotAsk reports whether the edge's latest observation shows that its family cannot be probed: the vantage has no
// route or no permission, or the name has addresses in the other family alone.
func (e *edge) cannotAsk() bool {
	return !e.unseen() && e.outcome == mesh.Inconclusive && (mesh.CannotAsk(e.reason) || mesh.NoSuchAddress(e.reason))
}

// leftOut reports whether that observation is fresh. The vantage then votes by its other family alone, if that one has
// a vote.
func (e *edge) leftOut(env *environment) bool { return e.cannotAsk() && e.fresh(env) }

// replacedByOther reports whether the edge is left out and another family of the vantage has a vote on the check.
func (e *edge) replacedByOther(env *environment) bool {
	other := e.otherFamily()
	if other == nil || !e.leftOut(env) {
		return false
	}
	vote, _ := other.voteIfNotIsolated(env)
	return vote != mesh.Abstain
}

// otherFamily returns the vantage's edge to the same check through the other single family, or nil.
func (e *edge) otherFamily() *edge {
	if e.family == mesh.AnyFamily {
		return nil
	}
	return e.vantage.edges[target{e.check.host.key, e.check.config.Name, mesh.IPv4 + mesh.IPv6 - e.family}]
}

// vote returns what the edge's latest observation counts for, and why if it counts for nothing.
func (e *edge) vote(env *environment) (vote mesh.Vote, why string) {
	if e.isolated() {
		return mesh.Abstain, isolatedWhy
	}
	return e.voteIfNotIsolated(env)
}

// voteIfNotIsolated is vote as if no vantage was isolated.
func (e *edge) voteIfNotIsolated(env *environment) (vote mesh.Vote, why string) {
	if why := e.vantage.abstains(env); why != "" {
		return mesh.Abstain, why
	}
	switch {
	case e.unseen():
		return mesh.Abstain, "no observation yet"
	case !e.fresh(env):
		return mesh.Abstain, "stale"
	case e.outcome == mesh.Inconclusive:
		return mesh.Abstain, inconclusiveWhy
	case e.muted:
		return mesh.Abstain, "did not answer when asked to probe again"
	case e.outcome == mesh.Unreachable && answersBeside(env, e):
		return mesh.OK, filteredWhy
	case e.outcome == mesh.Unreachable && hasProof(env, e):
		return mesh.OK, provedWhy
	case e.outcome == mesh.Unreachable:
		return mesh.Bad, ""
	}
	return mesh.OK, ""
}

const inconclusiveWhy = "inconclusive"

// runSince returns when the edge's present run of such outcomes began; zero if it is in none. A ping that is only
// filtered is in a good run.
func (e *edge) runSince(env *environment, run mesh.Outcome) time.Time {
	switch {
	case e.history.run == run:
		return e.history.since
	case run == mesh.Reachable:
		return answersInsteadSince(env, e)
	}
	return time.Time{}
}

// mayRequest reports whether the edge may request a round: not if it is isolated or its vantage abstains.
func (e *edge) mayRequest(env *environment) bool {
	return !e.isolated() && e.vantage.abstains(env) == ""
}

// backoff returns the edge's backoff. It creates one on demand, since few edges need one.
func (e *edge) backoff() *backoff {
	if e.alone == nil {
		e.alone = &backoff{}
	}
	return e.alone
}

// sortEdges orders edges by region, vantage and family.
func sortEdges(edges []*edge) {
	slices.SortFunc(edges, func(a, b *edge) int {
		return cmp.Or(
			cmp.Compare(a.vantage.region, b.vantage.region), cmp.Compare(a.vantage.key, b.vantage.key),
			cmp.Compare(a.family, b.family),
		)
	})
}
