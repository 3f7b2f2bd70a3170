package judge

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// EarlierCatalogs is how many catalogs are remembered. An agent asks for a new one every minute, and may have been
// away for longer.
const EarlierCatalogs = 16

// names translates the names in batches. An agent calls a host and a check as the catalog does that it has, which may
// not be the one in force: a name may be another host's by now.
type names struct {
	now      *catalog.Catalog   // in force
	catalogs []*catalog.Catalog // that agents may have: as they are, and as catalog.Agents.Facing; the newest last
	known    map[string]*translation
}

// translation holds the names of a catalog, or of an unknown one, that mean something else in the one in force. A nil
// translation changes nothing.
type translation struct {
	hosts  map[string]string
	checks map[checkName]checkName // to the zero value: it is gone
}

type checkName struct{ host, check string }

// set adds the catalog that comes into force.
func (n *names) set(c *catalog.Catalog) {
	n.now, n.known = c, map[string]*translation{}
	n.add(c)
}

// add adds a catalog that agents may have.
func (n *names) add(c *catalog.Catalog) {
	kept := slices.DeleteFunc(slices.Clone(n.catalogs), func(o *catalog.Catalog) bool { return o.Revision == c.Revision })
	if len(kept) == 2*EarlierCatalogs { // each may be there twice: see catalogs
		kept = kept[1:]
	}
	n.catalogs = append(kept, c)
	delete(n.known, c.Revision)
}

// of returns the translation for agents that have the catalog with the revision.
func (n *names) of(revision string) *translation {
	now := n.now
	if now == nil || now.Revision == revision {
		return nil
	}
	for i := len(n.catalogs) - 1; i >= 0; i-- {
		if c := n.catalogs[i]; c.Revision == revision {
			if _, ok := n.known[revision]; !ok {
				n.known[revision] = translate(c, now)
			}
			return n.known[revision]
		}
	}
	if _, ok := n.known[""]; !ok {
		n.known[""] = translateFormer(now)
	}
	return n.known[""]
}

// translate returns the names of one catalog that mean something else in another.
func translate(from, to *catalog.Catalog) *translation {
	t := &translation{map[string]string{}, map[checkName]checkName{}}
	pairs := catalog.Pair(from, to)
	for i := range from.Hosts {
		h := &from.Hosts[i]
		now := pairs.Host(h)
		switch {
		case now == nil:
			t.hosts[h.Key()] = ""
		case now.Key() != h.Key():
			t.hosts[h.Key()] = now.Key()
		}
		for k := range h.Checks {
			name, means := checkName{h.Key(), h.Checks[k].Name}, checkName{}
			if c := pairs.Check(h, now, &h.Checks[k]); c != nil {
				means = checkName{now.Key(), c.Name}
			}
			if means != name {
				t.checks[name] = means
			}
		}
	}
	return t.orNil()
}

// translateFormer returns what the former names mean that are not in use again, for an agent whose catalog is unknown.
func translateFormer(c *catalog.Catalog) *translation {
	t := &translation{map[string]string{}, map[checkName]checkName{}}
	hosts := map[string][]string{} // the names of each host, by key
	checks := map[*catalog.Host]map[string]string{}
	for _, f := range c.Former {
		if f.Host == "" {
			if h := c.FormerHost(f.Name); h != nil {
				t.hosts[mesh.Key(f.Name)] = h.Key()
				hosts[h.Key()] = append(hosts[h.Key()], mesh.Key(f.Name))
			}
		} else if h := c.HostByID(f.Host); h != nil {
			if now := c.FormerCheck(h, f.Name); now != nil {
				if checks[h] == nil {
					checks[h] = map[string]string{}
				}
				checks[h][f.Name] = now.Name
			}
		}
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for former, now := range checks[h] {
			t.checks[checkName{h.Key(), former}] = checkName{h.Key(), now}
		}
		for _, key := range hosts[h.Key()] {
			for k := range h.Checks {
				t.checks[checkName{key, h.Checks[k].Name}] = checkName{h.Key(), h.Checks[k].Name}
			}
			for former, now := range checks[h] {
				t.checks[checkName{key, former}] = checkName{h.Key(), now}
			}
		}
	}
	return t.orNil()
}

func (t *translation) orNil() *translation {
	if len(t.hosts)+len(t.checks) == 0 {
		return nil
	}
	return t
}

// host returns the key that the host has now; empty if it is gone.
func (t *translation) host(key string) string {
	if t != nil {
		if now, ok := t.hosts[key]; ok {
			return now
		}
	}
	return key
}

// target returns what the observation is about.
func (t *translation) target(o *mesh.Observation) target {
	if t != nil {
		if now, ok := t.checks[checkName{o.Host, o.Check}]; ok {
			return target{now.host, now.check, o.Family}
		}
	}
	return target{o.Host, o.Check, o.Family}
}
