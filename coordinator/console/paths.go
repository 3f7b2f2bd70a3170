package console

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// direction is from the region whose vantages probe to the region of the hosts that they probe.
type direction struct {
	from, to string
}

func (d direction) reversed() direction { return direction{d.to, d.from} }

// regionSight is what the vantages of one region see of the hosts of another.
type regionSight struct {
	good  []time.Time // when each check that answers last did
	bad   int         // votes
	pings bool        // one of the bad ones is of a ping
	since time.Time   // when the first of the bad ones began
	why   string
}

// blind reports whether nothing there is reached. Once pings fail, a check that answered before that says nothing: it
// has only not had its turn yet.
func (s regionSight) blind() bool {
	return s.bad > 0 && (len(s.good) == 0 || s.pings && s.answersSince(s.since) == 0)
}

// seesSince reports whether most of what is there has answered since then.
func (s regionSight) seesSince(t time.Time) bool { return s.answersSince(t) > s.bad }

func (s regionSight) answersSince(t time.Time) (n int) {
	for _, at := range s.good {
		if at.After(t) {
			n++
		}
	}
	return n
}

// regionSights returns what each region sees of each other one. What is the host's fault is left out: no path is blamed
// for it. So is a ping that was lost while the host proved by gossip that it is alive: it votes ok, and says nothing of
// whether the path carries what is begun there.
func regionSights(rule catalog.Rule, s *mesh.Snapshot) map[direction]regionSight {
	out := map[direction]regionSight{}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if hostAtFault(rule, h, s.At) {
			continue
		}
		for k := range h.Checks {
			c := &h.Checks[k]
			if checkAtFault(rule, c, s.At) {
				continue
			}
			for n := range c.Votes {
				if v := &c.Votes[n]; !v.Own {
					d := direction{v.Region, h.Region}
					seen := out[d]
					seen.add(c.Kind, v)
					out[d] = seen
				}
			}
		}
	}
	return out
}

// hostAtFault reports whether what fails of a host is, or may be, the fault of the host as a whole.
func hostAtFault(rule catalog.Rule, h *mesh.HostState, now time.Time) bool {
	return h.Status == mesh.MajorOutage || slices.ContainsFunc(h.Checks, func(c mesh.CheckState) bool {
		return c.Kind == catalog.KindPing && checkAtFault(rule, &c, now)
	})
}

// roundMax is how long a round takes at most while regions answer. What failed earlier has been confirmed or refuted.
const roundMax = 10 * time.Second

// checkAtFault reports whether what fails of a check is, or may be, the fault of what is checked: it is down or
// partial, as many regions as publish that fail or most do (also where that is held back, or the check was never up),
// or a round is open that may yet turn out so. What is maintained fails by intent.
func checkAtFault(rule catalog.Rule, c *mesh.CheckState, now time.Time) bool {
	if c.Verdict.Severity() > mesh.Unknown.Severity() || c.Verdict == mesh.Pending || c.Maintenance != "" {
		return true
	}
	voters, ok, bad, waiting := 0, 0, 0, 0
	recent := false // a region began to fail so lately that the open round is about it
	for i := range c.Votes {
		v := &c.Votes[i]
		if v.Own {
			continue
		}
		voters++
		switch good := slices.ContainsFunc(v.Edges, func(e mesh.EdgeState) bool { return e.Outcome.Good() }); {
		case v.Vote == mesh.OK:
			ok++
		case v.Vote == mesh.Bad:
			bad++
			recent = recent || now.Sub(v.Since) < roundMax
		case good:
			waiting++ // it reached it, and was asked to probe again
		}
	}
	if c.RoundOpen && !recent {
		ok += waiting
	}
	return bad >= max(2, rule.BadRegionsMin) || bad > ok || c.RoundOpen && bad > 0 && 2*ok <= voters
}

func (s *regionSight) add(kind string, v *mesh.RegionVote) {
	switch answered := latestAnswer(v); {
	case v.Vote == mesh.OK && !answered.IsZero():
		s.good = append(s.good, answered)
	case v.Vote == mesh.Bad:
		if s.bad == 0 || v.Since.Before(s.since) {
			s.since = v.Since
		}
		s.bad++
		s.pings = s.pings || kind == catalog.KindPing
		s.why = cmp.Or(s.why, v.Why)
	}
}

// latestAnswer returns when the region's vantages were last answered, of those whose latest result is good.
func latestAnswer(v *mesh.RegionVote) (latest time.Time) {
	for _, e := range v.Edges {
		if e.Outcome.Good() && e.At.After(latest) {
			latest = e.At
		}
	}
	return latest
}

// brokenPath is a path between two regions, both of which others reach.
type brokenPath struct {
	direction
	regionSight
	oneWay bool // the other direction works: to sees from
	both   bool // neither reaches the other
}

// brokenPaths names the pairs of regions of which one does not reach the other, in the catalog's order. A region that
// reaches none of the others is no matter of paths: it is isolated.
func brokenPaths(c *catalog.Catalog, s *mesh.Snapshot) (out []brokenPath) {
	seen, position := regionSights(c.Rule, s), regionOrder(c)
	known, blindTo := map[string]int{}, map[string]int{} // by region: of how many others it has results, and reaches none
	for d, view := range seen {
		if len(view.good)+view.bad > 0 {
			known[d.from]++
		}
		if view.blind() {
			blindTo[d.from]++
		}
	}
	isolated := func(region string) bool { return known[region] > 2 && 2*blindTo[region] > known[region] }
	for d, view := range seen {
		if !view.blind() || isolated(d.from) {
			continue
		}
		back := seen[d.reversed()] // without results, it is neither
		p := brokenPath{direction: d, regionSight: view, oneWay: back.seesSince(view.since), both: back.blind()}
		if p.both && position[d.to] < position[d.from] && !isolated(d.to) {
			continue // named once, from the other side
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b brokenPath) int {
		return cmp.Or(position[a.from]-position[b.from], position[a.to]-position[b.to])
	})
	return out
}

// cutDirections returns the paths that are cut: what begins at the first region does not reach the second.
func cutDirections(paths []brokenPath) map[direction]bool {
	out := map[direction]bool{}
	for _, p := range paths {
		out[p.direction] = true
		if p.both {
			out[p.reversed()] = true
		}
	}
	return out
}

// words describes a broken path: a title, and what it means.
func (p brokenPath) words(c *catalog.Catalog) (title, detail string) {
	from, to := sentence.City(c, p.from), sentence.City(c, p.to)
	why := ""
	if p.why != "" {
		why = fmt.Sprintf(" (%q)", shortened(p.why))
	}
	switch {
	case p.oneWay:
		return fmt.Sprintf("One-way cut: %s sees %s, %s does not see %s", to, from, from, to),
			fmt.Sprintf("%s reaches nothing in %s%s, while %s reaches %s: a firewall or a route in one "+
				"direction. One region is below what publishes, so clients read nothing of it.", from, to, why, to, from)
	case p.both:
		return fmt.Sprintf("Path cut between %s and %s, one way or both: neither sees the other", from, to),
			fmt.Sprintf(
				"Probes fail in both directions%s, as they do when packets are lost in one of them: the answers are "+
					"lost too. The other regions reach both, so it is the path between the two, and no host.",
				why,
			)
	}
	return fmt.Sprintf("%s does not see %s", from, to),
		fmt.Sprintf("%s reaches nothing in %s%s; what %s sees of %s is not known yet. One region is below what publishes.",
			from, to, why, to, from)
}
