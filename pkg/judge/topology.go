package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// topology is the mesh as the catalog and the roster in force describe it: vantages, hosts, and the edges between them.
type topology struct {
	catalog  *catalog.Catalog
	regions  []string
	vantages map[string]*vantage
	order    []*vantage // the same, by key
	hosts    []*host
	byKey    map[string]*host
	agents   catalog.Agents
	chooser  *schedule.Chooser
	senders  map[string]*vantage // by the name that NATS knows the agent by
	named    map[string]string   // by what agents call a host: its key
	names    names

	catalogs  int            // how many catalogs there were
	revisions map[string]int // the number of each
	revisedAt time.Time      // when the present one came into force
}

func newTopology() *topology {
	return &topology{
		vantages: map[string]*vantage{}, byKey: map[string]*host{},
		revisions: map[string]int{},
	}
}

// setRoster replaces the set of enrolled vantages, and reports whether agents now choose the observers of checks
// otherwise: in a large mesh that depends on what they call the hosts.
func (m *topology) setRoster(r *mesh.Roster) (reassigned bool) {
	before := m.agents.Facing()
	m.agents.SetRoster(r)
	m.enrol()
	facing := m.agents.Facing()
	if facing == nil || before == nil || facing.Revision == before.Revision {
		return false
	}
	m.face()
	return schedule.DependsOnNames(facing)
}

// face records the catalog that agents get.
func (m *topology) face() {
	facing := m.agents.Facing()
	m.chooser = schedule.NewChooser(facing)
	m.names.add(facing)
	m.revisions[facing.Revision] = m.catalogs
}

// enrol applies the roster and the catalog to the vantages.
func (m *topology) enrol() {
	enrolled := m.agents.Enrolled()
	for key, v := range m.vantages {
		v.enrolled = enrolled[key]
	}
	m.senders = map[string]*vantage{}
	for agent, key := range m.agents.Keys() {
		m.senders[agent] = m.vantages[key]
	}
}

// setCatalog builds the edges of a catalog and carries over the state of those that ask the same as before, whatever
// they were called.
func (m *topology) setCatalog(c *catalog.Catalog) {
	old, before := m.byKey, &catalog.Catalog{}
	if m.catalog != nil {
		before = m.catalog
	}
	pairs := catalog.Pair(c, before)
	m.catalog = c
	m.names.set(c)
	m.catalogs++
	m.revisions[c.Revision] = m.catalogs
	m.byKey, m.hosts = map[string]*host{}, nil
	m.setVantages(c, pairs) // before hosts: their edges belong to vantages
	m.face()
	for i := range c.Hosts {
		h := m.newHost(&c.Hosts[i])
		if was := pairs.Host(h.config); was != nil && old[was.Key()] != nil {
			h.inherit(old[was.Key()], pairs)
		}
		m.hosts = append(m.hosts, h)
		m.byKey[h.key] = h
	}
}

func (m *topology) setVantages(c *catalog.Catalog, pairs *catalog.Pairing) {
	known, renamed := m.vantages, map[string]string{}
	m.vantages, m.order, m.regions = map[string]*vantage{}, nil, nil
	for _, r := range c.Regions {
		m.regions = append(m.regions, r.Name)
	}
	for i := range c.Hosts {
		key := c.Hosts[i].Key()
		v := &vantage{}
		if was := pairs.Host(&c.Hosts[i]); was != nil && known[was.Key()] != nil {
			v = known[was.Key()]
			if v.key != key {
				renamed[v.key] = key
			}
			delete(known, was.Key())
		}
		v.key, v.region, v.edges, v.list = key, c.Hosts[i].Region, map[target]*edge{}, nil
		v.bad = [families]int{}
		m.vantages[key] = v
		m.order = append(m.order, v)
	}
	for key, v := range known { // what is left of them is gone, and may still be a requester of an open round
		v.enrolled, v.edges, v.list = false, nil, nil
		renamed[key] = ""
	}
	for _, v := range m.order {
		v.gossip.rename(renamed)
	}
	slices.SortFunc(m.order, func(a, b *vantage) int { return cmp.Compare(a.key, b.key) })
	m.agents.SetCatalog(c)
	m.named = map[string]string{}
	for _, v := range m.order {
		m.named[m.agents.Called(v.key)] = v.key
	}
	m.enrol()
}

func (m *topology) newHost(config *catalog.Host) *host {
	h := &host{config: config, key: config.Key(), id: config.Identity(), status: mesh.StatusUnknown}
	h.vantage = m.vantages[h.key]
	for i := range config.Checks {
		c := &check{
			host: h, config: &config.Checks[i], id: config.IdentityOf(&config.Checks[i]), firstCatalog: m.catalogs,
			freshness: m.catalog.Rule.Freshness(config.Checks[i]),
			verdict:   mesh.Pending, published: mesh.Pending,
		}
		c.edges = m.newEdges(c)
		c.ballots = newBallots(c, m.regions)
		h.checks = append(h.checks, c)
	}
	h.scheduled = h.scheduledProbes()
	return h
}

func (m *topology) newEdges(c *check) []*edge {
	var edges []*edge
	for _, v := range m.observers(c) {
		for _, family := range c.host.config.FamiliesOf(c.config) {
			edges = append(edges, c.newEdge(v, family))
		}
		c.newSpare(v)
	}
	sortEdges(edges)
	sortEdges(c.spares)
	return edges
}

// observers returns the vantages that probe a check. Agents choose them by what they call the hosts.
func (m *topology) observers(c *check) (out []*vantage) {
	config := *c.host.config
	config.Name = m.agents.Called(c.host.key)
	for _, name := range m.chooser.Observers(&config, c.config) {
		out = append(out, m.vantages[m.named[name]])
	}
	return out
}

// answersQuestion reports whether the batch's agent was asked what the check asks now: an agent that still has an
// earlier catalog answers another question. The checks of the first catalog accept every answer, since a judge that has
// just started does not know the catalogs before.
func (m *topology) answersQuestion(b *mesh.Batch, c *check) bool {
	return c.firstCatalog <= 1 || m.revisions[b.Revision] >= c.firstCatalog
}

// countVantages returns how many vantages are part of the mesh, how many regions those are in, and how many of these
// regions are silent.
func (m *topology) countVantages() (vantages, regions, silent int) {
	sending := map[string]bool{}
	for _, v := range m.order {
		if v.counts() {
			vantages++
			sending[v.region] = sending[v.region] || !v.silent
		}
	}
	for _, s := range sending {
		if !s {
			silent++
		}
	}
	return vantages, len(sending), silent
}
