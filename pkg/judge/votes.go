package judge

import (
	"iter"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// ballot is one region's part in a check's verdict: rule 4.
type ballot struct {
	region string
	own    bool // the host's own region: shown, never counted
	edges  []*edge
}

// newBallots groups the check's edges, which are sorted by region, in the catalog's order of regions.
func newBallots(c *check, regions []string) []ballot {
	var out []ballot
	for _, region := range regions {
		b := ballot{region: region, own: region == c.host.config.Region}
		for _, e := range c.edges {
			if e.vantage.region == region {
				b.edges = append(b.edges, e)
			}
		}
		if len(b.edges) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// assumption says how to count the answers that an open round still waits for. Counting both asOK and asBad shows
// whether they can still change the verdict.
type assumption uint8

const (
	asHeard assumption = iota // an ok from before the round counts neither way
	asOK                      // every missing answer is ok
	asBad                     // every missing answer is bad
)

// count counts the check's votes, and reports whether an answer is missing.
func (c *check) count(env *environment, as assumption) (t mesh.Tally, missing bool) {
	for i := range c.ballots {
		b := &c.ballots[i]
		if b.own || !b.counts() {
			continue
		}
		t.Voters++
		vote, waits := b.vote(env, c, as)
		missing = missing || waits
		switch vote {
		case mesh.OK:
			t.OK++
		case mesh.Bad:
			t.Bad++
		}
	}
	t.Regions = t.Voters + 1 // the host's own
	return t, missing
}

// waitsFor reports whether the edge's answer to the check's open round is missing. Without a round it reports whether
// the edge has not reported again since the judge or the stream (re)started.
func (c *check) waitsFor(env *environment, e *edge) bool {
	r := c.rounds.current
	if r == nil {
		return e.ended.Before(env.gapEnd) && !e.fresh(env) && c.keepsVerdict(env)
	}
	return !e.answered(r) || e.bad() && mayProveFiltered(e, r)
}

// regionsThatVote returns the regions that count and have this vote, in the catalog's order.
func (c *check) regionsThatVote(env *environment, vote mesh.Vote) []*ballot {
	var out []*ballot
	for i := range c.ballots {
		b := &c.ballots[i]
		if v, _ := b.vote(env, c, asHeard); !b.own && b.counts() && v == vote {
			out = append(out, b)
		}
	}
	return out
}

// regionNames returns the names of the regions with this vote.
func (c *check) regionNames(env *environment, vote mesh.Vote) []string {
	var out []string
	for _, b := range c.regionsThatVote(env, vote) {
		out = append(out, b.region)
	}
	return out
}

// recoveredRegions returns how many regions that vote ok saw as many successes in a row as leaving down takes.
func (c *check) recoveredRegions(env *environment) int {
	n := 0
	for _, b := range c.regionsThatVote(env, mesh.OK) {
		if b.successes(env) >= env.rule.RecoverSuccesses {
			n++
		}
	}
	return n
}

// counts reports whether the region has a vantage that is part of the mesh.
func (b *ballot) counts() bool {
	return slices.ContainsFunc(b.edges, func(e *edge) bool { return e.vantage.counts() })
}

// vote returns the strict majority of the region's vantages that vote ok or bad, and whether an answer is missing.
func (b *ballot) vote(env *environment, c *check, as assumption) (vote mesh.Vote, missing bool) {
	ok, bad := 0, 0
	for edges := range b.byVantage() {
		v, waits := vantageVote(env, c, edges, as)
		missing = missing || waits
		switch v {
		case mesh.OK:
			ok++
		case mesh.Bad:
			bad++
		}
	}
	return majority(ok, bad), missing
}

// majority returns the strict majority of two numbers of votes. A tie abstains.
func majority(ok, bad int) mesh.Vote {
	switch {
	case ok > bad:
		return mesh.OK
	case bad > ok:
		return mesh.Bad
	}
	return mesh.Abstain
}

// byVantage yields the edges of each of the region's vantages: one for each address family.
func (b *ballot) byVantage() iter.Seq[[]*edge] {
	return func(yield func([]*edge) bool) {
		for rest := b.edges; len(rest) > 0; {
			end := slices.IndexFunc(rest, func(e *edge) bool { return e.vantage != rest[0].vantage })
			if end < 0 {
				end = len(rest)
			}
			if !yield(rest[:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// vantageVote joins the families of one vantage: bad if one of them is bad, and ok if one is ok and each other one is
// ok or left out.
func vantageVote(env *environment, c *check, edges []*edge, as assumption) (vote mesh.Vote, missing bool) {
	if edges[0].vantage.abstains(env) != "" {
		return mesh.Abstain, false
	}
	ok, bad, lacking := false, false, false
	for _, e := range edges {
		v, _ := e.vote(env)
		if !e.isolated() && c.waitsFor(env, e) {
			missing = true
			switch as {
			case asOK:
				v = mesh.OK
			case asBad:
				v = mesh.Bad
			case asHeard:
				if v == mesh.OK {
					v = mesh.Abstain
				}
			}
		}
		ok, bad = ok || v == mesh.OK, bad || v == mesh.Bad
		lacking = lacking || v == mesh.Abstain && !e.leftOut(env)
	}
	switch {
	case bad:
		return mesh.Bad, missing
	case ok && !lacking:
		return mesh.OK, missing
	}
	return mesh.Abstain, missing
}

// everyFamily is the argument of opinion that stands for all families.
const everyFamily = -1

// opinion returns the region's vote through one family as if no vantage was isolated and no round open.
func (b *ballot) opinion(env *environment, f int) mesh.Vote {
	ok, bad := 0, 0
	for _, e := range b.edges {
		if f != everyFamily && slot(e.family) != f {
			continue
		}
		switch vote, _ := e.voteIfNotIsolated(env); vote {
		case mesh.OK:
			ok++
		case mesh.Bad:
			bad++
		}
	}
	return majority(ok, bad)
}

// successes returns the good observations in a row that the region's vantages saw together. A vantage with two families
// counts with the one that saw fewer: success over IPv4 shows nothing about IPv6. Families that are left out do not
// count.
func (b *ballot) successes(env *environment) int {
	n := 0
	for edges := range b.byVantage() {
		least := -1
		for _, e := range edges {
			if s := successes(env, e); !e.leftOut(env) && (least < 0 || s < least) {
				least = s
			}
		}
		n += max(least, 0)
	}
	return n
}

// runSince returns when the first of the region's present runs of such outcomes began; zero if there is none.
func (b *ballot) runSince(env *environment, run mesh.Outcome) time.Time {
	var first time.Time
	for _, e := range b.edges {
		if at := e.runSince(env, run); !e.leftOut(env) && !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
