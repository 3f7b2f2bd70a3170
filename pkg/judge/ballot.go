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

// reading says how to take the answers that an open round still waits for.
type reading uint8

const (
	asHeard reading = iota // an ok from before the round counts neither way
	asOK                   // as if every missing answer were ok
	asBad                  // as if every missing answer were bad
)

// tally counts the check's votes, and reports whether an answer is missing.
func (j *Judge) tally(c *check, as reading) (t mesh.Tally, missing bool) {
	for i := range c.ballots {
		b := &c.ballots[i]
		if b.own || !b.counts() {
			continue
		}
		t.Voters++
		vote, waits := j.regionVote(c, b, as)
		missing = missing || waits
		switch vote {
		case mesh.OK:
			t.OK++
		case mesh.Bad:
			t.Bad++
		}
	}
	t.Regions = t.Voters + 1
	return t, missing
}

// counts reports whether the region has a vantage that is part of the mesh.
func (b *ballot) counts() bool {
	return slices.ContainsFunc(b.edges, func(e *edge) bool { return e.vantage.counts() })
}

// regionVote is the strict majority of the region's vantages that have an opinion. A tie abstains.
func (j *Judge) regionVote(c *check, b *ballot, as reading) (vote mesh.Vote, missing bool) {
	ok, bad := 0, 0
	for edges := range b.byVantage() {
		v, waits := j.vantageVote(c, edges, as)
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

// majority is the strict majority of the two; a tie abstains.
func majority(ok, bad int) mesh.Vote {
	switch {
	case ok > bad:
		return mesh.OK
	case bad > ok:
		return mesh.Bad
	}
	return mesh.Abstain
}

// vantageVote joins the families that one vantage looks through: each must answer. A family that the vantage cannot
// ask through, or in which a name has no address, is left out where another family has an opinion.
func (j *Judge) vantageVote(c *check, edges []*edge, as reading) (vote mesh.Vote, missing bool) {
	if j.abstains(edges[0].vantage) != "" {
		return mesh.Abstain, false
	}
	ok, bad, lacking := false, false, false
	for _, e := range edges {
		v, _ := j.vote(e)
		if !e.isolated() && j.waits(c, e) {
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
		lacking = lacking || v == mesh.Abstain && !j.leftOut(e)
	}
	switch {
	case bad:
		return mesh.Bad, missing
	case ok && !lacking:
		return mesh.OK, missing
	}
	return mesh.Abstain, missing
}

// waits reports whether the edge's answer to the check's open round is still to come; where none is open, whether its word is,
// since the judge or the stream began anew.
func (j *Judge) waits(c *check, e *edge) bool {
	if !c.asked() {
		return e.ended.Before(j.gapEnd) && !j.now.Before(j.expires(e)) && j.standing(c)
	}
	return !e.answered(c.round) || e.bad() && e.mayBeFiltered(c.round)
}

func (e *edge) isolated() bool { return e.vantage.isolated[slot(e.family)] }

// vote is what the edge's latest word counts for, or why it counts for nothing.
func (j *Judge) vote(e *edge) (vote mesh.Vote, why string) {
	if e.isolated() {
		return mesh.Abstain, isolatedWhy
	}
	return j.edgeVote(e)
}

// edgeVote is the same by rule 2 alone, as if nobody were isolated.
func (j *Judge) edgeVote(e *edge) (vote mesh.Vote, why string) {
	if why := j.abstains(e.vantage); why != "" {
		return mesh.Abstain, why
	}
	switch {
	case e.never():
		return mesh.Abstain, "never looked"
	case !j.now.Before(j.expires(e)):
		return mesh.Abstain, "stale"
	case e.outcome == mesh.Inconclusive:
		return mesh.Abstain, "inconclusive"
	case e.mute:
		return mesh.Abstain, "did not answer when asked to look again"
	case e.outcome == mesh.Unreachable && j.filtered(e):
		return mesh.OK, filteredWhy
	case e.outcome == mesh.Unreachable && j.hasProof(e):
		return mesh.OK, provedWhy
	case e.outcome == mesh.Unreachable:
		return mesh.Bad, ""
	}
	return mesh.OK, ""
}

// closeRound ends the check's part of its round. An ok from before it, never confirmed, is muted until the next look.
func (c *check) closeRound() {
	for _, e := range c.edges {
		e.mute = e.mute || e.outcome.Good() && !e.answered(c.round)
	}
	c.round = nil
}

// regionsThatVote lists the counted regions with this vote, in the catalog's order.
func (j *Judge) regionsThatVote(c *check, vote mesh.Vote) []*ballot {
	var out []*ballot
	for i := range c.ballots {
		b := &c.ballots[i]
		if v, _ := j.regionVote(c, b, asHeard); !b.own && b.counts() && v == vote {
			out = append(out, b)
		}
	}
	return out
}

// regionNames are the names of the regions with this vote.
func (j *Judge) regionNames(c *check, vote mesh.Vote) []string {
	var out []string
	for _, b := range j.regionsThatVote(c, vote) {
		out = append(out, b.region)
	}
	return out
}

// successesIn are the good looks in a row that the region's vantages saw. One that looks through two families saw as many as
// through the worse of them: what was never lost over IPv4 says nothing of IPv6. What is left out counts neither way.
func (j *Judge) successesIn(b *ballot) int {
	n, least := 0, -1
	for i, e := range b.edges {
		if i == 0 || b.edges[i-1].vantage != e.vantage {
			n, least = n+max(least, 0), -1
		}
		if s := j.successes(e); !j.leftOut(e) && (least < 0 || s < least) {
			least = s
		}
	}
	return n + max(least, 0)
}

// since is when the region's present run of such outcomes began, by its first vantage; zero when there is none.
func (j *Judge) since(b *ballot, run mesh.Outcome) time.Time {
	var first time.Time
	for _, e := range b.edges {
		if at := j.runSince(e, run); !j.leftOut(e) && !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// runSince is when the edge's present run of such outcomes began; zero when it is in none. A ping that is filtered is in a good one.
func (j *Judge) runSince(e *edge, run mesh.Outcome) time.Time {
	switch {
	case e.run == run:
		return e.since
	case run == mesh.Reachable:
		return j.insteadSince(e)
	}
	return time.Time{}
}
