package catalog

import (
	"fmt"
	"slices"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// NeedsMax bounds how many hosts one host or check needs.
const NeedsMax = 16

// NeedsOf returns the keys of the hosts without which a check of the host cannot work: those that the host needs, and
// those that the check needs. Without a check it returns those of the host.
func (h *Host) NeedsOf(c *Check) (keys []string) {
	add := func(names []string) {
		for _, name := range names {
			if key := mesh.Key(name); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	add(h.Needs)
	if c != nil {
		add(c.Needs)
	}
	return keys
}

// needed returns the keys of all hosts that the host or one of its checks needs.
func (h *Host) needed() []string {
	keys := h.NeedsOf(nil)
	for i := range h.Checks {
		for _, key := range h.NeedsOf(&h.Checks[i]) {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// NeedsCycle returns the names of hosts each of which needs the next one, the first again at the end; nil if there are
// none. In a cycle each failure would be explained by another one, and no message would be sent about any of them.
func NeedsCycle(c *Catalog) []string {
	hosts := make(map[string]*Host, len(c.Hosts))
	for i := range c.Hosts {
		hosts[c.Hosts[i].Key()] = &c.Hosts[i]
	}
	done := map[string]bool{} // hosts from which no cycle can be reached
	var path []string
	var visit func(key string) []string
	visit = func(key string) []string {
		if done[key] || hosts[key] == nil {
			return nil
		}
		if at := slices.Index(path, key); at >= 0 {
			var names []string
			for _, k := range append(slices.Clone(path[at:]), key) {
				names = append(names, hosts[k].Name)
			}
			return names
		}
		path = append(path, key)
		for _, next := range hosts[key].needed() {
			if cycle := visit(next); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		done[key] = true
		return nil
	}
	for i := range c.Hosts {
		if cycle := visit(c.Hosts[i].Key()); cycle != nil {
			return cycle
		}
	}
	return nil
}

// needsBounded checks what hosts and checks need.
func needsBounded(c *Catalog) error {
	keys := make(map[string]bool, len(c.Hosts))
	for i := range c.Hosts {
		keys[c.Hosts[i].Key()] = true
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		most := len(h.Needs)
		for k := range h.Checks {
			most = max(most, len(h.Checks[k].Needs))
		}
		if most > NeedsMax {
			return fmt.Errorf("host %s: it or a check needs more than %d hosts", h.Name, NeedsMax)
		}
		for _, key := range h.needed() {
			if !keys[key] {
				return fmt.Errorf("host %s: it needs a host %.80q that does not exist", h.Name, key)
			}
		}
	}
	if cycle := NeedsCycle(c); cycle != nil {
		return fmt.Errorf("hosts need one another: %.300q", cycle)
	}
	return nil
}
