// Package sentence describes a check's verdict in one sentence, used on the page, in its API, in incidents, for
// operators and in the log. A sentence contains the catalog's names, numbers, times and the phrases of mesh.Failure,
// and never any text of an agent, a probed server or a peer. It names cities, never vantages, since a host that only
// operators know may be one.
package sentence

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

// Flapping is the rule of a check whose verdict is held at degraded because it changed too often.
const Flapping = "it entered and left down too often: held at degraded until it is calm, or down for long"

// ChecksChanged is the sentence of a status that changed because the host's checks did.
const ChecksChanged = "What is asked of the host changed."

// Of describes the check's verdict. The state's own Sentence and all text in its votes are ignored; config is the
// check in the catalog, or nil where the catalog no longer has it. The state's times are mesh time, which is ahead of
// the wall clock by offset; the sentence shows the wall clock.
func Of(c *catalog.Catalog, config *catalog.Check, s mesh.CheckState, offset time.Duration) string {
	t := s.Tally
	regions := fmt.Sprintf("%d of %s", t.OK, counted(t.Voters, "region"))
	switch s.Verdict {
	case mesh.Up:
		return "Up: reachable from " + regions + "."
	case mesh.Degraded:
		if s.Rule == Flapping {
			return "Degraded, flapping: it keeps going down and coming back; at this moment reachable from " +
				regions + "."
		}
		return "Degraded: reachable from " + regions + ", most of them slower or losing more than the objective."
	case mesh.Down:
		confirm := "confirm"
		if t.Bad == 1 {
			confirm = "confirms"
		}
		return fmt.Sprintf("Down: %d of %s %s that it %s%s.", t.Bad, counted(t.Voters, "region"), confirm,
			failures(config, s), first(c, s, offset))
	case mesh.Partial:
		return fmt.Sprintf("Partial: %s report that it %s%s; reachable from %s.", badCities(c, s),
			failures(config, s), first(c, s, offset), regions)
	case mesh.Pending:
		if s.Rule == quorum.TooFewRegions {
			return "Pending: not enough regions watch this host yet."
		}
		if t.Voters == 0 {
			return "Pending: new, and no other region can look yet."
		}
		return "Pending: new, and reachable from " + regions + " so far."
	}
	return unknown(s)
}

// OfTransition describes the verdict that a transition published. It ignores the stored sentence, since in a ledger's
// older transitions that contains text of agents. The catalog is the one in force at the time, or nil.
func OfTransition(c *catalog.Catalog, t mesh.Transition) string {
	if t.Check == "" {
		return ChecksChanged
	}
	var config *catalog.Check
	if c != nil {
		if h := c.Host(mesh.Key(t.Host)); h != nil {
			config = h.Check(t.Check)
		}
	}
	return Of(c, config, mesh.CheckState{Verdict: t.Verdict, Since: t.Began, Rule: t.Rule, Tally: t.Tally,
		Votes: t.Votes}, t.Offset)
}

func unknown(s mesh.CheckState) string {
	if s.Rule == quorum.TooFewRegions {
		return "Unknown: not enough regions watch this host."
	}
	return fmt.Sprintf("Unknown: %d ok and %d bad of %s is too little to tell.", s.Tally.OK, s.Tally.Bad,
		counted(s.Tally.Voters, "region"))
}

// failuresMax is how many failures are named; of more, the rest is summed up.
const failuresMax = 2

// failures names what most regions report, the most frequent first. What a single region reports is named only where no
// second region votes bad: one agent does not choose what the public reads.
func failures(config *catalog.Check, s mesh.CheckState) string {
	counts := map[mesh.Failure]int{}
	bad := badVotes(s)
	for _, v := range bad {
		counts[v.Failure()]++
	}
	var named []mesh.Failure
	for f, n := range counts {
		if n >= min(2, len(bad)) {
			named = append(named, f)
		}
	}
	slices.SortFunc(named, func(a, b mesh.Failure) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Status, b.Status))
	})
	phrases := make([]string, 0, failuresMax)
	for _, f := range named[:min(len(named), failuresMax)] {
		phrases = append(phrases, f.String())
	}
	switch {
	case len(phrases) == 0:
		phrases = append(phrases, mesh.Failure{}.String())
	case len(named) > failuresMax:
		return strings.Join(phrases, ", ") + " or failed in another way" + where(config)
	}
	return strings.Join(phrases, " or ") + where(config)
}

// where describes what the vantages probed, as the end of a phrase: a port, a web server or a ping.
func where(config *catalog.Check) string {
	if config == nil {
		return ""
	}
	switch o := config.Options.(type) {
	case catalog.Ping:
		return " when pinged"
	case catalog.HTTP:
		// The rest of the address may hold a secret.
		if u, err := url.Parse(o.URL); err == nil {
			return " at " + u.Host
		}
	}
	if port := config.Port(); port > 0 {
		return fmt.Sprintf(" on port %d", port)
	}
	return ""
}

// first names the city that saw the failure first since the verdict's cause began, and when.
func first(c *catalog.Catalog, s mesh.CheckState, offset time.Duration) string {
	var seen *mesh.RegionVote
	for _, v := range badVotes(s) {
		if !v.Since.IsZero() && !v.Since.Before(s.Since) && (seen == nil || v.Since.Before(seen.Since)) {
			seen = &v
		}
	}
	if seen == nil {
		return ""
	}
	wall := seen.Since.Add(-offset).UTC()
	return fmt.Sprintf(", first seen from %s at %s", City(c, seen.Region), wall.Format("15:04:05 UTC"))
}

func badCities(c *catalog.Catalog, s mesh.CheckState) string {
	var cities []string
	for _, v := range badVotes(s) {
		cities = append(cities, City(c, v.Region))
	}
	switch last := len(cities) - 1; {
	case last < 0:
		return counted(s.Tally.Bad, "region")
	case last > 0:
		return strings.Join(cities[:last], ", ") + " and " + cities[last]
	}
	return cities[0]
}

// badVotes returns the counted votes that are bad.
func badVotes(s mesh.CheckState) []mesh.RegionVote {
	var out []mesh.RegionVote
	for _, v := range s.Votes {
		if !v.Own && v.Vote == mesh.Bad {
			out = append(out, v)
		}
	}
	return out
}

// City returns the region's city, or the region's own name where the catalog has no city for it.
func City(c *catalog.Catalog, region string) string {
	if c != nil {
		if r := c.Region(region); r != nil && r.City != "" {
			return r.City
		}
	}
	return region
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
