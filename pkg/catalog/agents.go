package catalog

import "github.com/probemesh/probemesh/pkg/mesh"

// Agents tells whose agent an agent is. NATS knows it by the name that its host had when it joined; the host may have
// another one since, and its former name may be another host's.
type Agents struct {
	catalog *Catalog
	hosts   map[string]string // by agent: the id of its host; empty while no catalog has shown it
	keys    map[string]string // by agent: the key of its host in the catalog
}

// SetRoster sets which agents are enrolled.
func (a *Agents) SetRoster(r *mesh.Roster) {
	a.hosts = map[string]string{}
	for _, agent := range r.Vantages {
		a.hosts[agent] = r.Hosts[agent]
	}
	a.resolve()
}

// SetCatalog sets the catalog in force.
func (a *Agents) SetCatalog(c *Catalog) {
	a.catalog = c
	a.resolve()
}

func (a *Agents) resolve() {
	a.keys = map[string]string{}
	if a.catalog == nil {
		return
	}
	byID := make(map[string]*Host, len(a.catalog.Hosts))
	for i := range a.catalog.Hosts {
		byID[a.catalog.Hosts[i].Identity()] = &a.catalog.Hosts[i]
	}
	for agent, id := range a.hosts {
		h := byID[id]
		if h == nil && id == "" {
			if h = a.catalog.HostOnceNamed(agent); h != nil {
				a.hosts[agent] = h.Identity()
			}
		}
		if h != nil {
			a.keys[agent] = h.Key()
		}
	}
}

// Keys returns, by agent, the key of the host that it belongs to. The caller must not change it.
func (a *Agents) Keys() map[string]string { return a.keys }

// Enrolled returns the keys of the hosts that have an agent.
func (a *Agents) Enrolled() map[string]bool {
	out := map[string]bool{}
	for _, key := range a.keys {
		out[key] = true
	}
	return out
}
