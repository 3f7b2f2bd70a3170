// Package catalog is what the operator watches: the regions, the hosts in them and the checks asked of each host. Parse
// reads it from YAML and tells every mistake at once, each with its place and how to mend it; Encode and Decode carry a
// catalog that was already found valid between programs.
package catalog

import (
	"net/netip"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Catalog is a valid catalog with every default filled in.
type Catalog struct {
	Revision string   `json:"revision"` // the first 12 hexadecimal digits of the SHA-256 of the rest, encoded
	Page     Page     `json:"page"`
	Regions  []Region `json:"regions"`
	Hosts    []Host   `json:"hosts"`
	Rule     Rule     `json:"rule"`
}

// Page is what the status page says of itself.
type Page struct {
	Title string `json:"title"`
	URL   string `json:"url,omitempty"`
	Links []Link `json:"links,omitempty"` // in the order written
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
}

// Host is a server we answer for.
type Host struct {
	Name      string            `json:"name"`
	Region    string            `json:"region"`
	Addresses []string          `json:"addresses,omitempty"` // numbers or one name; empty only where there are no checks
	Role      string            `json:"role,omitempty"`
	Public    bool              `json:"public"`
	Group     string            `json:"group,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Checks    []Check           `json:"checks"`
}

// Kinds of checks.
const (
	KindPing = "ping"
	KindTCP  = "tcp"
	KindHTTP = "http"
)

// Check is one thing asked of a host.
type Check struct {
	Kind     string        `json:"kind"`
	Name     string        `json:"name"` // unique within the host: the kind and port unless said
	Critical bool          `json:"critical"`
	Interval time.Duration `json:"interval"` // nanoseconds
	Timeout  time.Duration `json:"timeout"`  // nanoseconds; of what is said after the connect

	Port   int    `json:"port,omitempty"`   // tcp
	Banner string `json:"banner,omitempty"` // tcp: a regular expression (RE2) that the first line matches

	URL             string `json:"url,omitempty"`              // http
	Status          int    `json:"status,omitempty"`           // http: the status wanted; 200 unless said
	Body            string `json:"body,omitempty"`             // http: a text that the body contains
	CertificateDays int    `json:"certificate_days,omitempty"` // http: the certificate must last at least so many days

	Latency time.Duration `json:"latency,omitempty"` // objective: a longer round trip is degraded; zero: none
	Loss    float64       `json:"loss,omitempty"`    // objective: a larger share of lost probes is degraded; zero: none
}

// Rule holds the numbers of the quorum rule. Defaults are in DefaultRule; keys in the file are the JSON names.
type Rule struct {
	BadRegionsMin    int           `json:"bad_regions_min"`   // 2: fewer bad regions are a path advisory
	DownShare        float64       `json:"down_share"`        // 0.5: more than this share of all regions say bad
	OKShare          float64       `json:"ok_share"`          // 0.2: at most this share of those that answered say ok
	RegionsMin       int           `json:"regions_min"`       // 3: fewer regions and the verdict is unknown
	AllowTwoRegions  bool          `json:"allow_two_regions"` // false: judge N = 2
	PartialAfter     time.Duration `json:"partial_after"`     // 5s: two rounds at least this far apart
	RoundTimeout     time.Duration `json:"round_timeout"`     // 3s: a round is closed after this, or the check's timeout and RoundGrace
	RoundGrace       time.Duration `json:"round_grace"`       // 2s
	RoundBudget      float64       `json:"round_budget"`      // 0.25: extra probes of rounds, as a share of the scheduled ones
	RoundEvery       time.Duration `json:"round_every"`       // 1s: at most one round a host in this time
	FreshIntervals   float64       `json:"fresh_intervals"`   // 2: a vote expires after so many intervals and a timeout
	Silence          time.Duration `json:"silence"`           // 6s: an agent without a batch for this long is silent
	RecoverSuccesses int           `json:"recover_successes"` // 2: successes a region must see before it helps a check out of down
	RecoverShare     float64       `json:"recover_share"`     // 0.5: share of the voting regions that must have seen them
}

// DefaultRule is the rule as documented in README.
func DefaultRule() Rule {
	return Rule{
		BadRegionsMin: 2, DownShare: 0.5, OKShare: 0.2, RegionsMin: 3,
		PartialAfter: 5 * time.Second, RoundTimeout: 3 * time.Second, RoundGrace: 2 * time.Second,
		RoundBudget: 0.25, RoundEvery: time.Second, FreshIntervals: 2, Silence: 6 * time.Second,
		RecoverSuccesses: 2, RecoverShare: 0.5,
	}
}

// Freshness is how long a vote on the check counts after its observation: rule 2.
func (r Rule) Freshness(c Check) time.Duration {
	return time.Duration(r.FreshIntervals*float64(c.Interval)) + c.Timeout
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

// Key is the host's name as it is carried between programs.
func (h *Host) Key() string { return mesh.Key(h.Name) }

// Check returns the check of this name, or nil.
func (h *Host) Check(name string) *Check {
	i := slices.IndexFunc(h.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &h.Checks[i]
}

// Families are the address families that every check of the host is looked at through, one edge each: those of its numbered
// addresses, or AnyFamily where the address is a name.
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

// Address is the address of the host to look at through this family, or "".
func (h *Host) Address(family mesh.Family) string {
	for _, a := range h.Addresses {
		ip, err := netip.ParseAddr(a)
		switch {
		case err != nil && family == mesh.AnyFamily,
			err == nil && family == mesh.IPv4 && ip.Unmap().Is4(),
			err == nil && family == mesh.IPv6 && !ip.Unmap().Is4():
			return a
		}
	}
	return ""
}
