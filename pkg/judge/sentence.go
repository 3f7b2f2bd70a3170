package judge

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// sentence says the check's verdict for everybody: page, operators, history. It names cities, never vantages, since a host
// that only operators know may be one.
func (j *Judge) sentence(c *check) string {
	t := c.tally
	regions := fmt.Sprintf("%d of %d %s", t.OK, t.Voters, plural(t.Voters, "region"))
	switch c.published {
	case mesh.Up:
		return "Up: reachable from " + regions + "."
	case mesh.Degraded:
		if c.damps() {
			return "Degraded, flapping: it keeps going down and coming back; at this moment reachable from " + regions + "."
		}
		return "Degraded: reachable from " + regions + ", most of them slower or losing more than the objective."
	case mesh.Down:
		return fmt.Sprintf("Down: %d of %d %s got %s%s%s.", t.Bad, t.Voters, plural(t.Voters, "region"), j.reasons(c), asking(c.config), j.first(c))
	case mesh.Partial:
		return fmt.Sprintf("Partial: %s got %s%s%s; reachable from %s.", j.badCities(c), j.reasons(c), asking(c.config), j.first(c), regions)
	case mesh.Pending:
		if t.Voters == 0 {
			return "Pending: new, and no other region can look yet."
		}
		return fmt.Sprintf("Pending: new, and reachable from %s so far.", regions)
	}
	return j.unknown(c)
}

func (j *Judge) unknown(c *check) string {
	if c.rule == quorum.TooFewRegions {
		return fmt.Sprintf("Unknown: %d %s can look, and the rule asks for %d.", c.tally.Voters, plural(c.tally.Voters, "other region"), j.rule.RegionsMin-1)
	}
	return fmt.Sprintf("Unknown: %d ok and %d bad of %d %s is too little to tell.", c.tally.OK, c.tally.Bad, c.tally.Voters, plural(c.tally.Voters, "region"))
}

// asking tells what the vantages asked when they got that.
func asking(c *catalog.Check) string {
	switch {
	case c.Port > 0:
		return fmt.Sprintf(" on port %d", c.Port)
	case c.URL != "":
		// The rest of the address may hold a secret.
		if u, err := url.Parse(c.URL); err == nil {
			return " from " + u.Host
		}
	}
	return " on " + c.Kind
}

// reasons quotes what the bad edges got, the most frequent first.
func (j *Judge) reasons(c *check) string {
	counts := map[string]int{}
	for _, b := range j.regionsThatVote(c, mesh.Bad) {
		for _, e := range b.edges {
			if e.bad() {
				counts[e.reason]++
			}
		}
	}
	var all []string
	for reason := range counts {
		all = append(all, reason)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	const most = 2
	for i := range all {
		all[i] = "'" + all[i] + "'"
	}
	switch {
	case len(all) == 0:
		return "no answer"
	case len(all) > most:
		return strings.Join(all[:most], " or ") + " or other failures"
	}
	return strings.Join(all, " or ")
}

// first tells from which city the cause was seen first.
func (j *Judge) first(c *check) string {
	var seen *ballot
	var at time.Time
	for _, b := range j.regionsThatVote(c, mesh.Bad) {
		since := j.since(b, mesh.Unreachable)
		if !since.Before(c.since) && (seen == nil || since.Before(at)) {
			seen, at = b, since
		}
	}
	if seen == nil {
		return ""
	}
	return fmt.Sprintf(", first from %s at %s", j.city(seen.region), j.clock(at, "15:04:05.0"))
}

func (j *Judge) badCities(c *check) string {
	var cities []string
	for _, b := range j.regionsThatVote(c, mesh.Bad) {
		cities = append(cities, j.city(b.region))
	}
	if last := len(cities) - 1; last > 0 {
		return strings.Join(cities[:last], ", ") + " and " + cities[last]
	}
	return strings.Join(cities, "")
}

// city is how people call a region.
func (j *Judge) city(region string) string {
	if r := j.catalog.Region(region); r != nil && r.City != "" {
		return r.City
	}
	return region
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
