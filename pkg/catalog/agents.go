package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/persist"
)

// Agents maps each agent to its host. NATS knows an agent by the name that its host had when it joined; the host may
// have another one since, and its former name may be another host's.
type Agents struct {
	catalog *Catalog
	hosts   map[string]string // by agent: the id of its host; empty while no catalog has shown it
	keys    map[string]string // by agent: the key of its host in the catalog
	facing  *Catalog
	called  map[string]string // by host's key: its name in facing, where that is another
}

// SetRoster sets which agents are enrolled.
func (a *Agents) SetRoster(r *mesh.Roster) {
	a.hosts = map[string]string{}
	for _, agent := range r.Vantages {
		a.hosts[agent] = r.Hosts[agent]
	}
	a.resolve()
}

// Roster returns which agents are enrolled, with the ids of their hosts as far as a catalog has shown them.
func (a *Agents) Roster() *mesh.Roster {
	r := &mesh.Roster{Vantages: slices.Sorted(maps.Keys(a.hosts)), Hosts: map[string]string{}}
	for agent, id := range a.hosts {
		if id != "" {
			r.Hosts[agent] = id
		}
	}
	return r
}

// PersistRoster walks over a roster, see package persist.
func PersistRoster(w *persist.Walk, r *mesh.Roster) {
	persist.Texts(w, &r.Vantages)
	persist.Map(w, &r.Hosts, func(id *string) { persist.Text(w, id) })
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
	a.facing, a.called = faceAgents(a.catalog, a.keys)
}

// Facing returns the catalog as agents get it. There a host whose agent NATS knows by another name has that name, until
// the agent has a credential under the new one: an agent finds its own host by its own name, and so do its peers in
// gossip. Nothing changes for agents when a host is renamed. Without such hosts it is the catalog itself.
func (a *Agents) Facing() *Catalog { return a.facing }

// Called returns what agents call the host with the key. See Facing.
func (a *Agents) Called(key string) string {
	if name, ok := a.called[key]; ok {
		return name
	}
	return key
}

// faceAgents makes what Facing returns, from the keys of the agents' hosts, and says what hosts are called there.
func faceAgents(c *Catalog, keys map[string]string) (*Catalog, map[string]string) {
	called, taken := map[string]string{}, map[string]bool{}
	for agent, key := range keys {
		if before, ok := called[key]; !ok || agent == key || before != key && agent < before {
			called[key] = agent
		}
	}
	for _, agent := range called {
		taken[agent] = true
	}
	for key, agent := range called {
		if key == agent {
			delete(called, key)
		}
	}
	if len(called) == 0 {
		return c, nil
	}
	out := *c
	out.Hosts = slices.Clone(c.Hosts)
	sum := sha256.New()
	fmt.Fprintln(sum, c.Revision)
	for i := range out.Hosts {
		h := &out.Hosts[i]
		key := h.Key()
		name, ok := called[key]
		if !ok && keys[key] != "" && keys[key] != key { // its name is an agent's of another host
			name, ok = freeName(c, h.Identity(), taken), true
			called[key], taken[name] = name, true
		}
		if ok {
			h.Name = name
			fmt.Fprintln(sum, h.ID, name)
		}
	}
	out.Revision = hex.EncodeToString(sum.Sum(nil)[:6])
	return &out, called
}

// freeName returns a name that no host and no agent has, made from an id.
func freeName(c *Catalog, id string, taken map[string]bool) string {
	for c.Host(id) != nil || taken[id] {
		id += "-0"
	}
	return id
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
