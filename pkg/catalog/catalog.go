// Package catalog describes what the operator watches: the regions, the hosts in them, the checks of each host, and the
// numbers of the quorum rule. Package file reads a catalog from YAML; Encode and Decode carry a valid catalog between
// programs.
package catalog

import (
	"net/netip"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Catalog is a valid catalog with every default filled in.
type Catalog struct {
	Revision string   `json:"revision"` // the first 12 hexadecimal digits of the SHA-256 of the rest, encoded
	Page     Page     `json:"page"`
	Regions  []Region `json:"regions"`
	Hosts    []Host   `json:"hosts"`
	Rule     Rule     `json:"rule"`

	// SLA is how uptime is counted and what it is compared with; nil: sla.DefaultMethod. Agents do not get it.
	SLA *sla.Method `json:"sla,omitempty"`

	// Incidents is how incidents are published; nil: at once, and there are no templates. Agents do not get it.
	Incidents *Incidents `json:"incidents,omitempty"`
	// Notify defines who is notified of outages, and Announce where public entries are published. Agents do not get them.
	Notify   *Notify    `json:"notify,omitempty"`
	Announce []Announce `json:"announce,omitempty"`

	// Former are names that hosts and checks had before, the newest last. Agents do not get them.
	Former []Former `json:"former,omitempty"`
}

// Page holds the status page's title, public address and links.
type Page struct {
	Title string `json:"title"`
	URL   string `json:"url,omitempty"`
	Links []Link `json:"links,omitempty"` // in the order of the file

	Accent string `json:"accent,omitempty"` // a color: see CheckAccent
	Logo   string `json:"logo,omitempty"`   // an image: see CheckLogo
}

// Link is a named link in the page's head: to the home page, to support.
type Link struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Region is a failure domain: hosts that can lose the network together. One region has one vote.
type Region struct {
	Name      string  `json:"name"`
	City      string  `json:"city"`
	Country   string  `json:"country"` // ISO 3166-1 alpha-2, upper case
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Provider  string  `json:"provider,omitempty"`
	// Anchors are addresses outside the mesh by which the region's vantages test their own network: by ping, or by TCP
	// if a port is given. A vantage that reaches none of them does not vote.
	Anchors []string `json:"anchors,omitempty"`
}

// Bounds of a catalog. They apply to files and to catalogs that another program sends.
const (
	HostsMax     = 5000
	ChecksMax    = 64 // of one host
	RegionsMax   = 1000
	LinksMax     = 20
	LabelsMax    = 64
	AddressesMax = 2 // one of each family
	AnchorsMax   = 8 // of one region
	IntervalMin  = time.Second
	IntervalMax  = time.Hour
	// SharedIntervalMax bounds how rarely each vantage probes a server whose interval all vantages share.
	SharedIntervalMax = 24 * time.Hour
	TimeoutMin        = 100 * time.Millisecond
	TimeoutMax        = 30 * time.Second
	DefaultInterval   = 10 * time.Second
	DefaultTimeout    = 3 * time.Second
)

// Host is a server of the mesh: a target of checks, a vantage, or both.
type Host struct {
	ID        string            `json:"id,omitempty"` // internal: see Identity and Identify
	Name      string            `json:"name"`
	Was       string            `json:"was,omitempty"`   // the name before: see Identify
	Title     string            `json:"title,omitempty"` // what clients call it: see Called
	Region    string            `json:"region"`
	Addresses []string          `json:"addresses,omitempty"` // IP addresses or one name; empty only without checks
	Role      string            `json:"role,omitempty"`
	Public    bool              `json:"public"`
	Group     string            `json:"group,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Needs     []string          `json:"needs,omitempty"` // hosts without which it cannot work. Agents do not get them
	Checks    []Check           `json:"checks"`
}

// Check is one thing asked of a host.
type Check struct {
	ID       string // internal: see Host.IdentityOf and Identify
	Kind     string
	Name     string // unique within the host
	Was      string // the name before: see Identify
	Critical bool
	Interval time.Duration // between the probes of one vantage
	Timeout  time.Duration // of what follows the connect

	// Families are the address families to probe, in order. They are filled in if the host's address is a name;
	// empty means those of the host's IP addresses. See Host.FamiliesOf.
	Families []mesh.Family

	// Except are the names of regions that leave the check out, sorted: their vantages do not probe it and have no vote
	// on it.
	Except []string

	Options Options // of the kind; nil for a kind that this version does not know

	// Secrets are the references in the options' texts, in the order of the keys and texts.
	Secrets []Reference

	Needs []string // hosts without which it cannot work, beside those of its host. Agents do not get them

	Latency time.Duration // objective: a longer round trip is degraded; zero: none
	Loss    float64       // objective: a larger share of lost probes is degraded; zero: none

	// FewObservers has the check probed by as many vantages as in a large mesh, also where the mesh is not large: all
	// would share an interval that is too long for that. Earlier versions do not know it.
	FewObservers bool

	// Internal hides a check of a public host from the public: it counts for operators alone. See Host.Shows.
	Internal bool
}

// Host returns the host with this key, or nil.
func (c *Catalog) Host(key string) *Host {
	i := slices.IndexFunc(c.Hosts, func(h Host) bool { return h.Key() == key })
	if i < 0 {
		return nil
	}
	return &c.Hosts[i]
}

// Region returns the region of this name, or nil.
func (c *Catalog) Region(name string) *Region {
	i := slices.IndexFunc(c.Regions, func(r Region) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Regions[i]
}

// Shows reports whether the public sees the check: it and its host are public.
func (h *Host) Shows(c *Check) bool { return h.Public && !c.Internal }

// CountsInStatus reports whether the check counts in the host's status, which is what the public reads of a public
// host. All checks of an internal host do.
func (h *Host) CountsInStatus(c *Check) bool { return !h.Public || !c.Internal }

// Key is the host's name in NATS subjects, addresses of pages and messages: in lower case.
func (h *Host) Key() string { return mesh.Key(h.Name) }

// Called returns what clients call the host: its title, or its name if it has none.
func (h *Host) Called() string {
	if h.Title != "" {
		return h.Title
	}
	return h.Name
}

// Check returns the check of this name, or nil. Upper and lower case are the same, but the name as spelled comes first:
// early versions permitted two checks that differ in case alone.
func (h *Host) Check(name string) *Check {
	i := slices.IndexFunc(h.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		i = slices.IndexFunc(h.Checks, func(c Check) bool { return mesh.Key(c.Name) == mesh.Key(name) })
	}
	if i < 0 {
		return nil
	}
	return &h.Checks[i]
}

// Families are the families of the host's numbered addresses, or AnyFamily where the address is a name.
func (h *Host) Families() []mesh.Family {
	var families []mesh.Family
	for _, a := range h.Addresses {
		f := mesh.AnyFamily
		if ip, err := netip.ParseAddr(a); err == nil {
			f = mesh.IPv6
			if ip.Unmap().Is4() {
				f = mesh.IPv4
			}
		}
		if !slices.Contains(families, f) {
			families = append(families, f)
		}
	}
	slices.Sort(families)
	return families
}

// OnLoopback reports whether all of the host's addresses are this machine's own.
func (h *Host) OnLoopback() bool {
	return !slices.ContainsFunc(h.Addresses, func(text string) bool {
		ip, err := netip.ParseAddr(text)
		return err != nil || !ip.Unmap().IsLoopback()
	})
}

// Named reports whether the host's address is a name that probes resolve.
func (h *Host) Named() bool {
	return len(h.Addresses) == 1 && h.Families()[0] == mesh.AnyFamily
}

// FamiliesOf returns the address families through which a check of the host is probed; each has an edge of its own. The
// result is AnyFamily alone only for a name in a catalog of the previous version, which did not distinguish families.
func (h *Host) FamiliesOf(c *Check) []mesh.Family {
	if len(c.Families) > 0 {
		return c.Families
	}
	return h.Families()
}

// NameFamilies gives each check of a name both families if it has none, as in a catalog of the previous version, and
// reports whether it changed anything. In that case the caller must seal the catalog.
func NameFamilies(c *Catalog) (changed bool) {
	for i := range c.Hosts {
		for k := range c.Hosts[i].Checks {
			if check := &c.Hosts[i].Checks[k]; c.Hosts[i].Named() && len(check.Families) == 0 {
				check.Families, changed = BothFamilies(), true
			}
		}
	}
	return changed
}

// BothFamilies returns the families through which a name is probed unless the check lists its own.
func BothFamilies() []mesh.Family { return []mesh.Family{mesh.IPv4, mesh.IPv6} }

// Address returns the address to probe through this family: an IP address of the family, or the host's name; "" if the
// host has neither.
func (h *Host) Address(family mesh.Family) string {
	for _, a := range h.Addresses {
		ip, err := netip.ParseAddr(a)
		switch {
		case err != nil,
			family == mesh.IPv4 && ip.Unmap().Is4(),
			family == mesh.IPv6 && !ip.Unmap().Is4():
			return a
		}
	}
	return ""
}
