package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A host and a check have an internal id, by which everything that outlives a catalog is kept: history, incidents,
// uptime, addresses of components. Names are for people and may change. Identify gives ids when a catalog is put in
// force. Catalogs of versions that knew no ids have those that FirstHostID and FirstCheckID derive from the names,
// which are also the component ids that those versions published.

// FormerMax bounds how many former names a catalog remembers. The oldest are forgotten first.
const FormerMax = 4096

// Former is a name that a host or check had before it was renamed. The name no longer leads to the id if it is in use
// again, and its first id is given to nobody else.
type Former struct {
	ID   string `json:"id"`             // of the host or check
	Host string `json:"host,omitempty"` // the id of the check's host; empty for a host
	Name string `json:"name"`           // as it was spelled
}

// FirstHostID returns the id of a host that was never renamed.
func FirstHostID(name string) string { return stableID("host", name) }

// FirstCheckID returns the id of a check that was never renamed, of such a host.
func FirstCheckID(host, check string) string { return stableID("check", host, check) }

// stableID makes an id of twelve hexadecimal digits that stays the same for the same parts.
func stableID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

var idPattern = regexp.MustCompile(`^[0-9a-f]{12}$`)

// Identity returns the host's id.
func (h *Host) Identity() string {
	if h.ID == "" {
		return FirstHostID(h.Name)
	}
	return h.ID
}

// IdentityOf returns the id of one of the host's checks.
func (h *Host) IdentityOf(c *Check) string {
	if c.ID == "" {
		return h.firstCheckID(c.Name)
	}
	return c.ID
}

// firstCheckID returns the id that a new check of the host gets. For a host that was renamed it comes from the host's
// id: another host may have the same name one day.
func (h *Host) firstCheckID(check string) string {
	if id := h.Identity(); id != FirstHostID(h.Name) {
		return FirstCheckID(id, check)
	}
	return FirstCheckID(h.Name, check)
}

// HostByID returns the host with the id, or nil.
func (c *Catalog) HostByID(id string) *Host {
	i := slices.IndexFunc(c.Hosts, func(h Host) bool { return h.Identity() == id })
	if i < 0 {
		return nil
	}
	return &c.Hosts[i]
}

// CheckByID returns the check with the id and its host, or nil.
func (c *Catalog) CheckByID(id string) (*Host, *Check) {
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if check := h.CheckByID(id); check != nil {
			return h, check
		}
	}
	return nil, nil
}

// CheckByID returns the host's check with the id, or nil.
func (h *Host) CheckByID(id string) *Check {
	i := slices.IndexFunc(h.Checks, func(c Check) bool { return h.IdentityOf(&c) == id })
	if i < 0 {
		return nil
	}
	return &h.Checks[i]
}

// FormerHost returns the host that had the name last, or nil. A name that is in use is not a former name.
func (c *Catalog) FormerHost(name string) *Host {
	key := mesh.Key(name)
	if c.Host(key) != nil {
		return nil
	}
	for _, f := range slices.Backward(c.Former) {
		if f.Host == "" && mesh.Key(f.Name) == key {
			if h := c.HostByID(f.ID); h != nil {
				return h
			}
		}
	}
	return nil
}

// FormerHosts returns all of what FormerHost finds, by the key of the former name.
func (c *Catalog) FormerHosts() map[string]*Host {
	out, ids, keys := map[string]*Host{}, map[string]*Host{}, map[string]bool{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		ids[h.Identity()], keys[h.Key()] = h, true
	}
	for _, f := range c.Former { // later ones replace earlier ones
		if h := ids[f.ID]; f.Host == "" && h != nil && !keys[mesh.Key(f.Name)] {
			out[mesh.Key(f.Name)] = h
		}
	}
	return out
}

// HostName returns how the catalog spells the name of the host with the key, or that had it last; the key itself if it
// has none. Agents are known by keys, and what people read names them as they named them.
func (c *Catalog) HostName(key string) string {
	if h := c.Host(key); h != nil {
		return h.Name
	}
	if h := c.FormerHosts()[key]; h != nil {
		return h.Name
	}
	return key
}

// FormerCheck returns the check of the host that had the name last, or nil. A name that is in use is not a former name.
func (c *Catalog) FormerCheck(h *Host, name string) *Check {
	if h.Check(name) != nil {
		return nil
	}
	for _, f := range slices.Backward(c.Former) {
		if f.Host == h.Identity() && mesh.Key(f.Name) == mesh.Key(name) {
			if check := h.CheckByID(f.ID); check != nil {
				return check
			}
		}
	}
	return nil
}

// HostOnceNamed returns the host that has the name, or had it last; nil if there is none.
func (c *Catalog) HostOnceNamed(name string) *Host {
	if h := c.Host(mesh.Key(name)); h != nil {
		return h
	}
	return c.FormerHost(name)
}

// CheckOnceNamed returns the check of the host that has the name, or had it last; nil if there is none.
func (c *Catalog) CheckOnceNamed(h *Host, name string) *Check {
	if check := h.Check(name); check != nil {
		return check
	}
	return c.FormerCheck(h, name)
}

// fillIDs gives hosts and checks without ids their first ones.
func (c *Catalog) fillIDs() {
	for i := range c.Hosts {
		h := &c.Hosts[i]
		h.ID = h.Identity()
		for k := range h.Checks {
			h.Checks[k].ID = h.IdentityOf(&h.Checks[k])
		}
	}
}

// withoutFirstIDs returns a copy of the catalog without the ids that follow from the names. A catalog's revision does
// not depend on those, so that it is the one that versions without ids computed.
func (c *Catalog) withoutFirstIDs() *Catalog {
	plain := *c
	plain.Hosts = slices.Clone(c.Hosts)
	for i := range plain.Hosts {
		h := &plain.Hosts[i]
		h.Checks = slices.Clone(h.Checks)
		for k := range h.Checks {
			if check := &h.Checks[k]; check.ID == h.firstCheckID(check.Name) {
				check.ID = ""
			}
		}
		if h.ID == FirstHostID(h.Name) {
			h.ID = ""
		}
	}
	return &plain
}

// UnmarshalJSON reads a catalog. One that an earlier version wrote gets its ids.
func (c *Catalog) UnmarshalJSON(data []byte) error {
	type plain Catalog
	var out plain
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	*c = Catalog(out)
	c.fillIDs()
	return nil
}

// uniqueIDs returns an error unless every id is one and belongs to one host or check.
func (c *Catalog) uniqueIDs() error {
	if len(c.Former) > FormerMax {
		return fmt.Errorf("more than %d former names", FormerMax)
	}
	for _, f := range c.Former {
		if !idPattern.MatchString(f.ID) || f.Name == "" || f.Host != "" && !idPattern.MatchString(f.Host) {
			return fmt.Errorf("the former name %q is invalid", f.Name)
		}
	}
	seen := map[string]bool{}
	add := func(id, name string) error {
		if !idPattern.MatchString(id) || seen[id] {
			return fmt.Errorf("the id %q of %s is invalid or given twice", id, name)
		}
		seen[id] = true
		return nil
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if err := add(h.Identity(), h.Name); err != nil {
			return err
		}
		for k := range h.Checks {
			if err := add(h.IdentityOf(&h.Checks[k]), h.Name+" "+h.Checks[k].Name); err != nil {
				return err
			}
		}
	}
	return nil
}
