package judge

import (
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Ping filtered (rule 4): a vantage that lost only the ping votes ok if it got another answer from the host since: over
// one of the host's other checks, or a proof of the host's agent by gossip. This file finds such answers.

const (
	filteredWhy = FilteredPrefix + "the host has since answered over TCP"
	provedWhy   = FilteredPrefix + "the host's agent has since proved that it is alive"
)

// answers is a run of good answers.
type answers struct {
	since  time.Time   // the first
	latest []time.Time // oldest first, at most as many as leaving down takes
}

// add records the next answer of the run and keeps the latest few.
func (a *answers) add(at time.Time, keep int) {
	if len(a.latest) == 0 {
		a.since = at
	}
	if over := len(a.latest) + 1 - max(keep, 1); over > 0 {
		a.latest = a.latest[:copy(a.latest, a.latest[over:])]
	}
	a.latest = append(a.latest, at)
}

// end ends the run.
func (a *answers) end() { a.latest = a.latest[:0] }

// last returns the time of the latest answer, or zero.
func (a *answers) last() time.Time {
	if a == nil || len(a.latest) == 0 {
		return time.Time{}
	}
	return a.latest[len(a.latest)-1]
}

// after counts the answers that are not older than a time.
func (a *answers) after(at time.Time) int {
	n := 0
	for _, answer := range a.latest {
		if !answer.Before(at) {
			n++
		}
	}
	return n
}

// beside returns, for a ping, the vantage's edges to the host's other checks through the same family. Other kinds of
// check have none.
func beside(e *edge) []*edge {
	if !e.isPing() {
		return nil
	}
	var out []*edge
	for _, c := range e.check.host.checks {
		o := e.vantage.edges[target{c.host.key, c.config.Name, e.family}]
		if o != nil && c.config.ProvesHostAlive() {
			out = append(out, o)
		}
	}
	return out
}

// answersBeside reports whether the host answered this vantage on another check since it lost the ping.
func answersBeside(env *environment, ping *edge) bool {
	for _, o := range beside(ping) {
		if answeredSince(env, o, ping) {
			return true
		}
	}
	return false
}

// answeredSince reports whether the edge has a fresh good observation from after the ping's first miss.
func answeredSince(env *environment, e, ping *edge) bool {
	return e.outcome.Good() && !e.unseen() && e.fresh(env) && !e.began.Before(ping.missedAt)
}

// mayProveFiltered reports whether an answer to the round that is still missing could show that only the ping is lost.
func mayProveFiltered(ping *edge, r *round) bool {
	for _, o := range beside(ping) {
		if o.vantage.counts() && !o.answered(r) {
			return true
		}
	}
	return false
}

// hasProof reports whether the host's agent proved to the vantage that it is alive, after the ping's first miss and not
// longer ago than an agent may be silent. A proof counts for one address family only.
func hasProof(env *environment, e *edge) bool {
	at := e.vantage.gossip.proofs[e.check.host.key].last()
	if at.IsZero() || at.Before(e.missedAt) || env.now.Sub(at) > env.rule.Silence {
		return false
	}
	return e.isPing() && gossipUsesFamily(env, e)
}

// gossipUsesFamily reports whether gossip with the edge's host certainly goes through the edge's family: that of the
// host's first address. A name is resolved in either family, so that it is certain only if the vantage cannot reach the
// other one.
func gossipUsesFamily(env *environment, e *edge) bool {
	host := e.check.host.config
	if !host.Named() || e.family == mesh.AnyFamily {
		return e.family == host.Families()[0]
	}
	other := e.otherFamily()
	return other != nil && other.leftOut(env) && !other.notPermitted()
}

// insteadOf returns the runs of answers that show of a lost ping that only the ping is lost: on each other check, and
// proofs.
func insteadOf(env *environment, ping *edge) []*answers {
	if !ping.bad() {
		return nil
	}
	var out []*answers
	for _, o := range beside(ping) {
		if answeredSince(env, o, ping) {
			out = append(out, o.answers)
		}
	}
	if hasProof(env, ping) {
		out = append(out, ping.vantage.gossip.proofs[ping.check.host.key])
	}
	return out
}

// successes returns the good observations in a row on the edge. For a filtered ping these are the answers in a row,
// since its first miss, of what answers instead. Only the longest run counts: answers of two checks at one time are one
// success.
func successes(env *environment, e *edge) int {
	n := e.streak
	for _, a := range insteadOf(env, e) {
		n = max(n, a.after(e.missedAt))
	}
	return n
}

// answersInsteadSince returns since when something answers instead of the ping; zero if nothing does.
func answersInsteadSince(env *environment, ping *edge) time.Time {
	var first time.Time
	for _, a := range insteadOf(env, ping) {
		since := a.since
		if since.Before(ping.missedAt) {
			since = ping.missedAt // until then the ping itself was answered
		}
		if first.IsZero() || since.Before(first) {
			first = since
		}
	}
	return first
}
