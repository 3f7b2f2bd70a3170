package judge

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// vantage is a host as a place that probes are sent from.
type vantage struct {
	key      string
	region   string
	enrolled bool
	silent   bool
	heardAt  time.Time // its last batch
	identity identity
	report   mesh.VantageState // what its last batch reports of the agent itself
	edges    map[target]*edge
	list     []*edge // the same

	gossip      gossipView
	account     account // pays for rounds that its edges request
	anchorsFail bool
	bad         [families]int  // its edges whose latest observation is bad
	isolated    [families]bool // rule 3
}

// target is what an observation of a vantage is about.
type target struct {
	host, check string
	family      mesh.Family
}

// families is the number of slots in which a vantage counts by address family.
const families = 3

func slot(f mesh.Family) int {
	switch f {
	case mesh.IPv4:
		return 1
	case mesh.IPv6:
		return 2
	}
	return 0
}

func (v *vantage) heard() bool { return !v.heardAt.IsZero() }

// counts reports whether the vantage is part of the mesh: enrolled, and heard once.
func (v *vantage) counts() bool { return v.enrolled && v.heard() }

// setReport records what a batch reports of its agent.
func (v *vantage) setReport(env *environment, b *mesh.Batch) {
	v.heardAt, v.silent, v.anchorsFail = env.now, false, b.AnchorsFail
	// Assign field by field: this runs for every batch, and the whole struct is three times as large.
	v.report.Version, v.report.Revision, v.report.Connected = b.Version, b.Revision, b.Connected
	v.report.Clock, v.report.Lag, v.report.SpoolOff = b.Clock, b.Lag, b.SpoolOff
	v.report.Queued, v.report.Dropped, v.report.Refusal = b.Queued, b.Dropped, b.Refusal
}

// updateSilent works out whether the vantage is silent: rule 2. After a gap of the stream everybody gets time to send
// again.
func (v *vantage) updateSilent(env *environment) {
	limit := env.rule.Silence
	v.silent = v.heard() && env.now.Sub(v.heardAt) > limit && env.now.Sub(env.gapEnd) > limit
}

const sharedWhy = "two agents use this identity"

// abstains returns why the vantage as a whole has no vote, or "": it is not part of the mesh, or its own machine or
// network is the cause of what it sees. This is the part of rule 3 that needs no comparison with other vantages.
func (v *vantage) abstains(env *environment) string {
	switch {
	case !v.enrolled:
		return "not enrolled"
	case !v.heard():
		return "never heard"
	case v.silent:
		return "silent"
	case v.identity.shared(env.now):
		return sharedWhy
	case v.report.Lag >= env.rule.LagMax:
		return fmt.Sprintf("its timers overran by %s", v.report.Lag.Round(100*time.Millisecond))
	case v.anchorsFail:
		return "none of its region's anchors answers"
	}
	return ""
}

const isolatedWhy = "isolated: it votes bad on what the other regions vote ok on"

// isolate works out whether the vantage is isolated, by address family, and reports whether that changed. It compares
// with votes as they were if nobody was isolated, so that the order of the vantages does not matter.
func (v *vantage) isolate(env *environment) (changed bool) {
	for f := range families {
		isolated := v.bad[f] > 0 && v.isolatedIn(env, f)
		changed = changed || isolated != v.isolated[f]
		v.isolated[f] = isolated
	}
	return changed
}

// isolatedIn is rule 3: (count + 1/2) / (n + 1) > share. n is the number of the vantage's targets that it has a vote
// on, and count how many of those it votes bad on although enough other regions vote ok. The halves are Jeffreys'
// prior: few targets prove little.
func (v *vantage) isolatedIn(env *environment, f int) bool {
	n, count := 0, 0
	for _, e := range v.list {
		if slot(e.family) != f {
			continue
		}
		vote, _ := e.voteIfNotIsolated(env)
		if vote != mesh.Abstain {
			n++
		}
		if vote == mesh.Bad && othersVoteOK(env, e) {
			count++
		}
	}
	return n >= env.rule.IsolatedTargetsMin && (float64(count)+0.5)/float64(n+1) > env.rule.IsolatedShare
}

// othersVoteOK reports whether enough of the regions besides the edge's own and the host's own vote ok on the check.
func othersVoteOK(env *environment, e *edge) bool {
	regions, ok := 0, 0
	for i := range e.check.ballots {
		b := &e.check.ballots[i]
		if b.own || b.region == e.vantage.region || !b.counts() {
			continue
		}
		regions++
		if b.opinion(env, slot(e.family)) == mesh.OK {
			ok++
		}
	}
	return regions > 0 && float64(ok) >= env.rule.IsolatedAgreement*float64(regions)
}

// countBad updates the number of the vantage's bad edges after a change of one.
func (v *vantage) countBad(e *edge, wasBad bool) {
	switch {
	case e.bad() && !wasBad:
		v.bad[slot(e.family)]++
	case wasBad && !e.bad():
		v.bad[slot(e.family)]--
	}
}

// notPermitted returns a reason why the vantage's machine does not permit probes, or "". Of several it is always the
// same one, so that snapshots do not change with the order of a map.
func (v *vantage) notPermitted() string {
	why := ""
	for _, e := range v.edges {
		if e.notPermitted() && (why == "" || e.reason < why) {
			why = e.reason
		}
	}
	return why
}
