package console

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// filteredNamed is how many hosts with lost pings are named; the others are counted.
const filteredNamed = 8

// filteredFor is how long a vantage must have lost all pings: a single one is lost on any lossy path, and says nothing
// of a filter.
const filteredFor = time.Minute

// filteredPings are the hosts that are up and lose pings while they are alive.
type filteredPings struct {
	hosts   []string
	address string // of the page of the first one's check
	paths   int    // from a vantage to one of them
}

// newFilteredPings leaves out the pings that a cut path or a lossy region explains: those have items of their own.
func newFilteredPings(s *mesh.Snapshot, cut map[direction]bool, lossy map[string]bool) (f filteredPings) {
	for i := range s.Hosts {
		h := &s.Hosts[i]
		observers := map[string]bool{} // a vantage may lose the pings of several checks and address families
		for k := range h.Checks {
			c := &h.Checks[k]
			if c.Verdict != mesh.Up {
				continue
			}
			for _, v := range c.Votes {
				if v.Own || cut[direction{v.Region, h.Region}] || lossy[""] || lossy[v.Region] || lossy[h.Region] {
					continue
				}
				for _, e := range v.Edges {
					if filtered(e) && !e.LeftOut && s.At.Sub(e.Since) >= filteredFor {
						observers[e.Vantage] = true
						f.address = cmp.Or(f.address, checkPath(h.Name, c.Name))
					}
				}
			}
		}
		if len(observers) > 0 {
			f.hosts, f.paths = append(f.hosts, h.Name), f.paths+len(observers)
		}
	}
	return f
}

// items returns the one item of all of them, or none.
func (f filteredPings) items() []item {
	if len(f.hosts) == 0 {
		return nil
	}
	it := item{
		Look: web.VerdictLook(mesh.Degraded), rank: rankAdvisory,
		Title: fmt.Sprintf("%s loses pings, and is alive", f.hosts[0]),
		Detail: fmt.Sprintf("%s lost all pings of the last minute or longer, and the host proved otherwise that it is "+
			"alive, by a service or by its agent. Something drops pings before it: permit ICMP echo requests there.",
			mesh.Count(f.paths, "vantage")),
		Links: []web.Link{{Name: "Check", URL: f.address}},
	}
	if len(f.hosts) > 1 {
		shown := strings.Join(f.hosts[:min(len(f.hosts), filteredNamed)], ", ")
		if more := len(f.hosts) - filteredNamed; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		it.Title = fmt.Sprintf("%d hosts lose pings, and are alive", len(f.hosts))
		it.Detail = fmt.Sprintf("%s: on %s all pings of the last minute or longer were lost, and the host proved otherwise "+
			"that it is alive, by a service or by its agent. Something drops pings before them: permit ICMP echo requests "+
			"there.", shown, mesh.Count(f.paths, "path"))
		it.Links = []web.Link{{Name: "Matrix", URL: "/matrix"}}
	}
	return []item{it}
}
