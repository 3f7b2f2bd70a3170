package console

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// uplinkOrHost says of a host whose checks are all down what the other hosts of its region show of the region's uplink:
// from outside, a region without its uplink looks like a region whose hosts are all down. It is empty while nothing is
// known.
func (r request) uplinkOrHost(h *mesh.HostState) string {
	since, down := downSince(h)
	if !down {
		return ""
	}
	city := sentence.City(r.catalog, h.Region)
	others, alsoDown := 0, 0
	for i := range r.snapshot.Hosts {
		o := &r.snapshot.Hosts[i]
		if o.Region != h.Region || o.Name == h.Name {
			continue
		}
		if reachedSince(o, since) {
			return fmt.Sprintf("The uplink of %s works, because %s there is reached: look at %s itself.", city, o.Name, h.Name)
		}
		others++
		if _, down := downSince(o); down {
			alsoDown++
		}
	}
	switch {
	case others == 0:
		return fmt.Sprintf("It is the only host in %s, so it may also be the uplink: ask the provider there.", city)
	case others == 1 && alsoDown == 1:
		return fmt.Sprintf("Both hosts in %s are down: look at its uplink first.", city)
	case alsoDown == others:
		return fmt.Sprintf("All %d hosts in %s are down: look at its uplink first.", others+1, city)
	}
	return ""
}

// downSince reports whether every check of a host is down, and since when.
func downSince(h *mesh.HostState) (since time.Time, down bool) {
	for i := range h.Checks {
		c := &h.Checks[i]
		if c.Verdict != mesh.Down {
			return time.Time{}, false
		}
		if c.Since.After(since) {
			since = c.Since
		}
	}
	return since, len(h.Checks) > 0
}

// silentWhereDown reports whether all silent agents are on hosts that are down. The items of these hosts say it, too,
// and nobody can log into such a host to ask its agent.
func silentWhereDown(s *mesh.Snapshot) bool {
	down := map[string]bool{}
	for i := range s.Hosts {
		_, down[mesh.Key(s.Hosts[i].Name)] = downSince(&s.Hosts[i])
	}
	for _, v := range s.Vantages {
		if !connected(v) && !down[mesh.Key(v.Name)] {
			return false
		}
	}
	return len(s.Alerts) == 0 && connectedAgents(s) < len(s.Vantages)
}

// reachedSince reports whether another region reached a host after a time. Older results say nothing: the path may have
// been cut since.
func reachedSince(h *mesh.HostState, since time.Time) bool {
	for i := range h.Checks {
		for _, v := range h.Checks[i].Votes {
			for _, e := range v.Edges {
				if !v.Own && e.Vote == mesh.OK && !filtered(e) && e.At.After(since) {
					return true
				}
			}
		}
	}
	return false
}
