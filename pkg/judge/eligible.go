package judge

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// families are the slots in which a vantage counts by address family.
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

// abstains is why the vantage as a whole has no vote: it is not part of the mesh, or its own machine or network is at fault.
// That is the part of rule 3 that one vantage tells of itself.
func (j *Judge) abstains(v *vantage) string {
	switch {
	case !v.enrolled:
		return "not enrolled"
	case !v.heard():
		return "never heard"
	case v.silent:
		return "silent"
	case j.sharesIdentity(v):
		return sharedWhy
	case v.word.Lag >= j.rule.LagMax:
		return fmt.Sprintf("its timers overran by %s", v.word.Lag.Round(100*time.Millisecond))
	case v.anchorsFail:
		return "none of its region's anchors answers"
	}
	return ""
}

const isolatedWhy = "isolated: it calls bad what the other regions hold good"

// isolate works out whether the vantage is isolated, by address family, and reports whether that changed. What it calls bad
// is held against what the votes of the other regions say before anybody is taken for isolated: the order of vantages does
// not matter.
func (j *Judge) isolate(v *vantage) (changed bool) {
	for f := range families {
		isolated := v.bad[f] > 0 && j.isolatedIn(v, f)
		changed = changed || isolated != v.isolated[f]
		v.isolated[f] = isolated
	}
	return changed
}

// isolateObservers works that out for every vantage that looks at the check: a word on it may tell of any of them.
func (j *Judge) isolateObservers(c *check) (changed bool) {
	for _, e := range c.edges {
		changed = j.isolate(e.vantage) || changed
	}
	return changed
}

// isolatedIn is rule 3: (count + 1/2) / (n + 1) > share, where n is the number of the vantage's targets with an opinion, and
// count that of the targets it calls bad though enough of the other regions hold them good. The halves are Jeffreys' prior:
// few targets prove little.
func (j *Judge) isolatedIn(v *vantage, f int) bool {
	n, count := 0, 0
	for _, e := range v.list {
		if slot(e.family) != f {
			continue
		}
		vote, _ := j.edgeVote(e)
		if vote != mesh.Abstain {
			n++
		}
		if vote == mesh.Bad && j.othersHoldGood(e) {
			count++
		}
	}
	return n >= j.rule.IsolatedTargetsMin && (float64(count)+0.5)/float64(n+1) > j.rule.IsolatedShare
}

// othersHoldGood reports whether enough of the regions besides the edge's own and the host's own hold the check good.
func (j *Judge) othersHoldGood(e *edge) bool {
	regions, good := 0, 0
	for i := range e.check.ballots {
		b := &e.check.ballots[i]
		if b.own || b.region == e.vantage.region || !b.counts() {
			continue
		}
		regions++
		if j.opinion(b, slot(e.family)) == mesh.OK {
			good++
		}
	}
	return regions > 0 && float64(good) >= j.rule.IsolatedAgreement*float64(regions)
}

// everyFamily stands for all of them.
const everyFamily = -1

// opinion is the region's vote through a family as if nobody were isolated.
func (j *Judge) opinion(b *ballot, f int) mesh.Vote {
	ok, bad := 0, 0
	for _, e := range b.edges {
		if f != everyFamily && slot(e.family) != f {
			continue
		}
		switch vote, _ := j.edgeVote(e); vote {
		case mesh.OK:
			ok++
		case mesh.Bad:
			bad++
		}
	}
	return majority(ok, bad)
}
