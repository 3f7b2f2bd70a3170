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
	enrolled map[string]bool

	catalogs  int            // how many catalogs there were
	revisions map[string]int // the number of each
	revisedAt time.Time      // when the present one came into force
}

func newTopology() *topology {
	return &topology{
		vantages: map[string]*vantage{}, byKey: map[string]*host{},
		enrolled: map[string]bool{}, revisions: map[string]int{},
	}
}

// setRoster replaces the set of enrolled vantages.
func (m *topology) setRoster(r *mesh.Roster) {
	clear(m.enrolled)
	for _, key := range r.Vantages {
		m.enrolled[key] = true
	}
	for _, v := range m.vantages {
		v.enrolled = m.enrolled[v.key]
	}
}

// setCatalog builds the edges of a catalog and carries over the state of those that ask the same as before.
func (m *topology) setCatalog(c *catalog.Catalog) {
	old := m.byKey
	m.catalog = c
	m.catalogs++
	m.revisions[c.Revision] = m.catalogs
	m.byKey, m.hosts = map[string]*host{}, nil
	m.setVantages(c) // before hosts: their edges belong to vantages
	for i := range c.Hosts {
		h := m.newHost(&c.Hosts[i])
		if was := old[h.key]; was != nil {
			h.inherit(was)
		}
		m.hosts = append(m.hosts, h)
		m.byKey[h.key] = h
	}
}

func (m *topology) setVantages(c *catalog.Catalog) {
	known := m.vantages
	m.vantages, m.order, m.regions = map[string]*vantage{}, nil, nil
	for _, r := range c.Regions {
		m.regions = append(m.regions, r.Name)
	}
	for i := range c.Hosts {
		key := c.Hosts[i].Key()
		v := known[key]
		if v == nil {
			v = &vantage{key: key}
		}
		v.region, v.enrolled, v.edges, v.list = c.Hosts[i].Region, m.enrolled[key], map[target]*edge{}, nil
		v.bad = [families]int{}
		m.vantages[key] = v
		m.order = append(m.order, v)
	}
	slices.SortFunc(m.order, func(a, b *vantage) int { return cmp.Compare(a.key, b.key) })
}

func (m *topology) newHost(config *catalog.Host) *host {
	h := &host{config: config, key: config.Key(), status: mesh.StatusUnknown}
	h.vantage = m.vantages[h.key]
	for i := range config.Checks {
		c := &check{
			host: h, config: &config.Checks[i], firstCatalog: m.catalogs,
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
	for _, key := range schedule.Observers(m.catalog, c.host.config, c.config) {
		v := m.vantages[key]
		for _, family := range c.host.config.FamiliesOf(c.config) {
			edges = append(edges, c.newEdge(v, family))
		}
		c.newSpare(v)
	}
	sortEdges(edges)
	return edges
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
