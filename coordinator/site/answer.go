package site

import (
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// answer is the first line of the front page, which says how things are in the clients' words, and what comes with it.
func answer(s web.State, overall web.Overall) (headline, detail string) {
	var affected []mesh.HostState
	pending, checks := 0, 0
	for _, h := range s.Hosts() {
		checks += len(h.Checks)
		for _, c := range h.Checks {
			if c.Verdict == mesh.Pending {
				pending++
			}
		}
		if h.Status != mesh.Operational {
			affected = append(affected, h)
		}
	}
	switch total := len(s.Hosts()); len(affected) {
	case 0:
		if pending > 0 {
			return overall.Headline, fmt.Sprintf("%s. Without first results yet: %s.", mesh.Count(total, "system"),
				mesh.Count(pending, "check"))
		}
		return overall.Headline, overall.Detail
	case 1:
		if overall.Said != nil {
			return overall.Headline, oneAffected(s, affected[0]) + "."
		}
		if total > 1 {
			detail = " All other systems are operational."
		}
		return oneAffected(s, affected[0]), overall.Headline + "." + detail
	default:
		if pending > 0 && pending == checks {
			return overall.Headline, fmt.Sprintf("%s. Waiting for the first results.", mesh.Count(total, "system"))
		}
		var names []string
		for _, h := range affected {
			names = append(names, called(s, h))
		}
		return overall.Headline, fmt.Sprintf("%d of %s %s: %s.", len(affected), mesh.Count(total, "system"),
			inWord(affected), strings.Join(names, ", "))
	}
}

// inWord is what is so with several hosts: that nothing is known of them is not an outage.
func inWord(hosts []mesh.HostState) string {
	for _, h := range hosts {
		if h.Status != mesh.StatusUnknown {
			return "affected"
		}
	}
	return "without current results"
}

// oneAffected says what is so with the only host that is not operational.
func oneAffected(s web.State, h mesh.HostState) string {
	name := called(s, h)
	switch h.Status {
	case mesh.MajorOutage:
		return name + " is unavailable"
	case mesh.DegradedPerformance:
		return name + " has degraded performance"
	case mesh.UnderMaintenance:
		return name + " is under maintenance"
	case mesh.PartialOutage:
		var down []string
		for _, c := range h.Checks {
			if c.Verdict == mesh.Down && c.Maintenance == "" {
				down = append(down, c.Name)
			}
		}
		if len(down) == 1 && mesh.Key(down[0]) != "ping" {
			return down[0] + " is unavailable"
		}
		return name + " is partly unavailable"
	}
	return "The status of " + name + " is unknown"
}

// called returns what clients call a host.
func called(s web.State, h mesh.HostState) string { return s.Catalog.Host(mesh.Key(h.Name)).Called() }
