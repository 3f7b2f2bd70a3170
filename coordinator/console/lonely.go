package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

const (
	// lonelyAfter is how long one region alone must miss a check before operators read of it, and exceptAfter before
	// the overview says how the check leaves the region out: agents that share an interval probe minutes apart.
	lonelyAfter = 5 * time.Minute
	exceptAfter = time.Hour
	// lonelyMax is how many unreachable checks of single regions are listed: each has its misses counted.
	lonelyMax = 20
	// lonelyMisses is how many misses it takes: one is an accident.
	lonelyMisses = 2
)

// lonely is one region that alone cannot reach checks of a host, which is less than what publishes.
type lonely struct {
	region, host string
	checks       []missed // the one that is missed longest first
}

// missed is a check that a region misses.
type missed struct {
	name, why string
	since     time.Time
}

// lonelyVotes lists what single regions cannot reach, without the paths that are named as a whole.
func lonelyVotes(rule catalog.Rule, s *mesh.Snapshot, paths []brokenPath) []lonely {
	cut := cutDirections(paths)
	found := map[[2]string]*lonely{}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if hostAtFault(rule, h, s.At) {
			continue
		}
		for k := range h.Checks {
			c := &h.Checks[k]
			v := onlyBad(c)
			if v == nil || c.RoundOpen || checkAtFault(rule, c, s.At) || cut[direction{v.Region, h.Region}] {
				continue
			}
			since, ok := missedSince(c, v)
			if !ok || s.At.Sub(since) < lonelyAfter {
				continue
			}
			key := [2]string{v.Region, h.Name}
			l := found[key]
			if l == nil {
				l = &lonely{region: v.Region, host: h.Name}
				found[key] = l
			}
			l.checks = append(l.checks, missed{c.Name, v.Why, since})
		}
	}
	out := make([]lonely, 0, len(found))
	for _, key := range slices.SortedFunc(maps.Keys(found), func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	}) {
		l := found[key]
		slices.SortStableFunc(l.checks, func(a, b missed) int { return a.since.Compare(b.since) })
		out = append(out, *l)
	}
	return out
}

// onlyBad returns the one bad vote on a check; nil if there is none, or more than one.
func onlyBad(c *mesh.CheckState) (only *mesh.RegionVote) {
	for i := range c.Votes {
		v := &c.Votes[i]
		switch {
		case v.Own || v.Vote != mesh.Bad:
		case only != nil:
			return nil
		default:
			only = v
		}
	}
	return only
}

// missedSince returns since when a region misses a check during its present verdict; false unless it missed it twice.
// A bad vote from before the verdict, of an agent that has not probed since, shows nothing.
func missedSince(c *mesh.CheckState, v *mesh.RegionVote) (time.Time, bool) {
	var latest time.Time
	for _, e := range v.Edges {
		if e.Vote == mesh.Bad && e.LastBad.After(latest) {
			latest = e.LastBad
		}
	}
	if v.Since.After(c.Since) {
		return v.Since, latest.After(v.Since)
	}
	// When the first miss of this verdict was is not known: within its first minutes, more than one agent's turn.
	// Misses are counted by whole minutes.
	return c.Since.Truncate(time.Minute).Add(time.Minute), latest.After(c.Since.Add(lonelyAfter))
}

// lonelyItems returns what single regions cannot reach: it is less than what publishes, so nothing else says it.
func lonelyItems(s *console, r request, paths []brokenPath) (out []item) {
	for _, l := range lonelyVotes(r.catalog.Rule, r.snapshot, paths) {
		if len(out) == lonelyMax {
			break
		}
		n, known := misses(s, r, missKey{l.region, l.host, l.checks[0].name}, l.checks[0].since)
		if known && n < lonelyMisses {
			continue
		}
		out = append(out, l.item(r, n, known))
	}
	return out
}

// item has the misses of the first check, where they are known.
func (l lonely) item(r request, misses uint64, known bool) item {
	city, first := sentence.City(r.catalog, l.region), l.checks[0]
	var names []string
	for _, m := range l.checks {
		names = append(names, m.name)
	}
	it := item{
		Look: web.VerdictLook(mesh.Degraded), Since: first.since, rank: rankPath,
		Title: fmt.Sprintf("%s alone does not reach %s %s", city, l.host, strings.Join(names, ", ")),
		Links: []web.Link{
			{Name: "Check", URL: checkPath(l.host, first.name)}, {Name: city, URL: regionPath(l.region)},
		},
	}
	if known {
		of := ""
		if len(names) > 1 {
			of = " of " + first.name
		}
		it.Detail = fmt.Sprintf("%s%s since %s. ", mesh.Count(int(misses), "miss"), of,
			first.since.UTC().Format("15:04 UTC on 2 January"))
	}
	if first.why != "" {
		it.Detail += fmt.Sprintf("The latest: %q. ", shortened(first.why))
	}
	it.Detail += fmt.Sprintf("One region is below what publishes (%d must agree), so clients read that it works.",
		r.catalog.Rule.BadRegionsMin)
	text, lines := l.exception(r, city)
	it.Detail, it.Commands = it.Detail+text, lines
	return it
}

// exception returns how the checks that are missed for long leave the region out: a sentence, and the lines for the
// catalog. With several lines, a comment in each names its check.
func (l lonely) exception(r request, city string) (text string, lines []string) {
	h, tooFew := r.catalog.Host(mesh.Key(l.host)), 0
	for _, m := range l.checks {
		if r.snapshot.At.Sub(m.since) < exceptAfter {
			continue
		}
		without := catalog.Check{Except: []string{l.region}}
		if h != nil {
			if c := h.Check(m.name); c != nil {
				without.Except = append(without.Except, c.Except...)
			}
			if !catalog.EnoughVoters(r.catalog, h, &without) {
				tooFew++
				continue
			}
		}
		slices.Sort(without.Except)
		line := fmt.Sprintf("except: [%s]", strings.Join(slices.Compact(without.Except), ", "))
		if len(l.checks) > 1 {
			line += " # " + m.name
		}
		lines = append(lines, line)
	}
	switch {
	case len(lines) > 0 && len(l.checks) == 1:
		text = fmt.Sprintf(" If %s is never to reach it, write this into the check and apply the catalog:", city)
	case len(lines) > 0:
		text = fmt.Sprintf(" If %s is never to reach a check, write its line into it and apply the catalog:", city)
	case tooFew > 0:
		text = fmt.Sprintf(" %s cannot be left out: fewer regions would have a vote than the %d of regions_min.", city,
			r.catalog.Rule.RegionsMin)
	}
	return text, lines
}
