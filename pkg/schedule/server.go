package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// server is the program behind one port of a host whose checks share it: see catalog.Check.SharesServer. Its sessions
// are probes of all vantages, of all checks and through both families; each has a place in their common order.
type server struct {
	host     *catalog.Host
	port     int
	checks   []*catalog.Check
	sessions []session
}

// session is one edge to a server.
type session struct {
	rank    int // of the vantage, among the observers of the check
	check   *catalog.Check
	family  mesh.Family
	vantage string
}

// serversOf returns the host's shared servers by their port.
func serversOf(c *Chooser, host *catalog.Host) map[int]*server {
	servers := map[int]*server{}
	for i := range host.Checks {
		check := &host.Checks[i]
		if !check.SharesServer() {
			continue
		}
		s := servers[check.Port()]
		if s == nil {
			s = &server{host: host, port: check.Port()}
			servers[s.port] = s
		}
		s.checks = append(s.checks, check)
		for rank, vantage := range c.Observers(host, check) {
			for _, family := range host.FamiliesOf(check) {
				s.sessions = append(s.sessions, session{rank, check, family, vantage})
			}
		}
	}
	for _, s := range servers { // by rank first: so the sessions of each check are at even distances too
		slices.SortFunc(s.sessions, func(a, b session) int {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.check.Name, b.check.Name),
				cmp.Compare(a.family, b.family))
		})
	}
	return servers
}

// phasesOf returns the phases of one check and vantage, by family: the sessions of the server follow one another at
// even distances.
func (s *server) phasesOf(check *catalog.Check, vantage string) func(mesh.Family) (time.Duration, bool) {
	return func(family mesh.Family) (time.Duration, bool) {
		i := slices.IndexFunc(s.sessions, func(o session) bool {
			return o.check == check && o.family == family && o.vantage == vantage
		})
		part := shift(s.host.Key(), fmt.Sprint(s.port)) + float64(i)/float64(len(s.sessions))
		return partOf(check.Interval, part), i >= 0
	}
}

// ShareServers turns the interval of checks that share a server from one of all vantages together, as files give it,
// into that of each vantage: as many times longer as the server has sessions. So the server sees one session per
// interval, however many vantages, address families and checks there are. Of several checks of one server the
// shortest interval counts.
//
// A catalog does not say which hosts have agents, and a choice of few hosts may leave most agents out. So every host
// has a turn, as in any full mesh, unless that would have a vantage probe less than once in
// catalog.SharedIntervalMax. ShareServers calls tooRare for each check with which the chosen few would do so too.
func ShareServers(c *catalog.Catalog, tooRare func(*catalog.Host, *catalog.Check)) {
	chooser := NewChooser(c)
	for i := range c.Hosts {
		host := &c.Hosts[i]
		for k := range host.Checks {
			host.Checks[k].FewObservers = false
		}
		for _, s := range serversOf(chooser, host) {
			if len(c.Hosts)-1 > ObserversMax && s.interval() > catalog.SharedIntervalMax {
				for _, check := range s.checks {
					check.FewObservers = true
				}
			}
		}
		for _, s := range serversOf(chooser, host) {
			if len(s.sessions) == 0 {
				continue
			}
			every := s.interval()
			for _, check := range s.checks {
				if check.Interval = every; every > catalog.SharedIntervalMax {
					tooRare(host, check)
				}
			}
		}
	}
}

// interval returns that of each vantage, while the checks have that of all together.
func (s *server) interval() time.Duration {
	shortest := slices.MinFunc(s.checks, func(a, b *catalog.Check) int { return cmp.Compare(a.Interval, b.Interval) })
	return shortest.Interval * time.Duration(len(s.sessions))
}

// DependsOnNames reports whether the observers of any check depend on what the hosts are called.
func DependsOnNames(c *catalog.Catalog) bool {
	if len(c.Hosts) > FullMesh {
		return true
	}
	for i := range c.Hosts {
		if slices.ContainsFunc(c.Hosts[i].Checks, func(check catalog.Check) bool { return check.FewObservers }) {
			return true
		}
	}
	return false
}
