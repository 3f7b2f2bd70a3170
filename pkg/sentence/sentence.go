// Package sentence describes a check's verdict in one sentence, for the status page, the API, incidents, operators
// and the log: call Of for the present, OfTransition for the ledger. A sentence is public. It contains names of the
// catalog, numbers, times and the phrases of mesh.Failure, and never any text of an agent, a probed server or a peer,
// which could put secrets or lies on the page. It names cities and never vantages, since a vantage may be an internal
// host.
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

// Flapping is the rule by which a check that changes too often is published as degraded. Ledgers store the text and Of
// compares it, so it must not change.
const Flapping = "it entered and left down too often: held at degraded until it is calm, or down for long"

// ChecksChanged is the sentence of a status that changed because the catalog changed the host's checks.
const ChecksChanged = "The checks of this host changed."

// The sentences of a status that changed because a maintenance began or ended.
const (
	MaintenanceBegan = "Maintenance is in progress."
	MaintenanceOver  = "Maintenance is over."
)

// Of describes the verdict of a check's state. config is the check in the catalog, or nil if the catalog no longer has
// it; the catalog may be nil too. Of ignores the state's own Sentence and classifies the free text in its votes. The
// state's times are mesh time, which is ahead of the wall clock by offset; the sentence shows the wall clock. A nil
// First is computed from the votes, which must be those at the moment of publication then.
func Of(c *catalog.Catalog, config *catalog.Check, s mesh.CheckState, offset time.Duration) string {
	t := s.Tally
	regions := fmt.Sprintf("%d of %s", t.OK, mesh.Count(t.Voters, "region"))
	switch s.Verdict {
	case mesh.Up:
		return "Up: reachable from " + regions + "."
	case mesh.Degraded:
		if s.Rule == Flapping {
			return "Degraded, flapping: it keeps going down and coming back; at this moment reachable from " +
				regions + "."
		}
		if IsTemporary(config) {
			return "Degraded: reachable from " + regions + ", and most of them were asked to come back later."
		}
		return "Degraded: reachable from " + regions + ", most of them slower or losing more than the objective."
	case mesh.Down:
		return fmt.Sprintf("Down: %s that it %s%s.", mesh.CountOf(t.Bad, t.Voters, "region", "confirms", "confirm"),
			failures(config, s), firstSeen(c, s, offset))
	case mesh.Partial:
		return fmt.Sprintf("Partial: %s that it %s%s; reachable from %s.", badCities(c, s),
			failures(config, s), firstSeen(c, s, offset), regions)
	case mesh.Pending:
		if s.Rule == quorum.TooFewRegions {
			return "Pending: not enough regions watch this host yet."
		}
		if t.Voters == 0 {
			return "Pending: new, and not checked from any other region yet."
		}
		return "Pending: new, and reachable from " + regions + " so far."
	}
	return unknown(s)
}

// IsTemporary reports whether a check can only be degraded because its server asks clients to come back later: the
// protocol allows that, and the check has no objective that it could miss.
func IsTemporary(config *catalog.Check) bool {
	if config == nil || config.Latency != 0 || config.Loss != 0 {
		return false
	}
	_, isMail := catalog.MailSessionOf(config.Options)
	return isMail
}

// OfTransition describes the verdict that a transition published. It ignores the stored sentence, since earlier
// versions put text of agents into it. The catalog is the one that was in force at the time, or nil.
func OfTransition(c *catalog.Catalog, t mesh.Transition) string {
	switch {
	case t.Check == "" && t.To == mesh.UnderMaintenance:
		return MaintenanceBegan
	case t.Check == "" && t.From == mesh.UnderMaintenance:
		return MaintenanceOver
	case t.Check == "":
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
	return fmt.Sprintf("Unknown: too few results to decide: %d ok and %d bad of %s.", s.Tally.OK, s.Tally.Bad,
		mesh.Count(s.Tally.Voters, "region"))
}

// failuresMax is how many kinds of failure a sentence names before it summarises the rest.
const failuresMax = 2

// failures returns the failures that the regions report, the most frequent first, and what was probed. A failure that
// only one region reports is named only if no second region votes bad: one agent must not choose what the public reads.
func failures(config *catalog.Check, s mesh.CheckState) string {
	counts := map[mesh.Failure]int{}
	bad := badVotes(s.Votes)
	for _, v := range bad {
		counts[v.Failure()]++
	}
	var named []mesh.Failure
	for f, n := range counts {
		if n >= min(2, len(bad)) {
			named = append(named, f)
		}
	}
	// Kind and status break ties, so that every replay writes the same sentence.
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
		return strings.Join(phrases, ", ") + " or failed in another way" + target(config)
	}
	return strings.Join(phrases, " or ") + target(config)
}

// target describes what the vantages probed: a port, a web host or a ping.
func target(config *catalog.Check) string {
	if config == nil {
		return ""
	}
	switch o := config.Options.(type) {
	case catalog.Ping:
		return " when pinged"
	case catalog.HTTP:
		// The host alone: the rest of the URL may contain a secret.
		if u, err := url.Parse(o.URL); err == nil {
			return " at " + u.Host
		}
	}
	if port := config.Port(); port > 0 {
		return fmt.Sprintf(" on port %d", port)
	}
	return ""
}

// First returns which region saw the failure first, by the votes at the moment at which the verdict is published. It
// ignores regions that vote bad since before the verdict's cause began: their failures have another cause.
func First(since time.Time, votes []mesh.RegionVote, offset time.Duration) mesh.Sighting {
	var first mesh.Sighting
	for _, v := range badVotes(votes) {
		if v.Since.IsZero() || v.Since.Before(since) {
			continue
		}
		if at := v.Since.Add(-offset); first.Region == "" || at.Before(first.At) {
			first = mesh.Sighting{Region: v.Region, At: at}
		}
	}
	return first
}

// firstSeen names the city that saw the failure first, and when.
func firstSeen(c *catalog.Catalog, s mesh.CheckState, offset time.Duration) string {
	first := s.First
	if first == nil {
		now := First(s.Since, s.Votes, offset)
		first = &now
	}
	if first.Region == "" {
		return ""
	}
	return fmt.Sprintf(", first seen from %s at %s", City(c, first.Region), first.At.UTC().Format("15:04:05 UTC"))
}

// badCities lists the cities whose regions vote bad, with the verb: "Lusaka and Vancouver report". Without votes it is
// their number.
func badCities(c *catalog.Catalog, s mesh.CheckState) string {
	var cities []string
	for _, v := range badVotes(s.Votes) {
		cities = append(cities, City(c, v.Region))
	}
	switch last := len(cities) - 1; {
	case last < 0:
		return mesh.Count(s.Tally.Bad, "region") + mesh.Verb(s.Tally.Bad, s.Tally.Voters, " reports", " report")
	case last > 0:
		return strings.Join(cities[:last], ", ") + " and " + cities[last] + " report"
	}
	return cities[0] + " reports"
}

// badVotes returns the bad votes that count, which the host's own region does not.
func badVotes(votes []mesh.RegionVote) []mesh.RegionVote {
	var out []mesh.RegionVote
	for _, v := range votes {
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
