package catalog

import (
	"fmt"
	"slices"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// tlsPorts are the well-known ports on which a server expects a TLS handshake before it sends anything: HTTPS, SMTPS,
// NNTPS, LDAPS, DNS over TLS, FTPS, Telnet, IMAPS, IRCS, POP3S and SIPS.
var tlsPorts = []int{443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 6697}

// warningsMax bounds how many checks Warnings describes one by one.
const warningsMax = 20

// Warnings describes what is valid in the catalog and will not work as it is written, one sentence each.
func (c *Catalog) Warnings() []string {
	var out []string
	if n := c.regionsWithHosts(); len(c.Hosts) > 0 && n < c.Rule.RegionsMin && (n != 2 || !c.Rule.AllowTwoRegions) {
		mend := "add hosts with agents in other regions"
		if n == 2 {
			mend += ", or set allow_two_regions in the rule"
		}
		out = append(out, fmt.Sprintf("the hosts are in %s, and regions_min of the rule asks for %d: "+
			"every check stays pending or unknown; %s", mesh.Count(n, "region"), c.Rule.RegionsMin, mend))
	}
	out = append(out, exceptWarnings(c)...)
	more := 0
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			tcp, ok := h.Checks[k].Options.(TCP)
			switch {
			case !ok || tcp.TLS || tcp.Banner == "" || !slices.Contains(tlsPorts, tcp.Port):
			case len(out) < warningsMax:
				out = append(out, fmt.Sprintf("%s %q waits for a banner on port %d, where servers speak TLS and "+
					"send none before the handshake: it will stay pending; add tls: true, or leave the banner out",
					h.Name, h.Checks[k].Name, tcp.Port))
			default:
				more++
			}
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more checks wait for a banner on such a port", more))
	}
	return out
}

// exceptWarnings names checks that too few regions vote on because of except alone.
func exceptWarnings(c *Catalog) (out []string) {
	if c.regionsWithHosts() < c.Rule.RegionsMin {
		return nil // the whole catalog has too few
	}
	more := 0
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			check := &h.Checks[k]
			switch {
			case len(check.Except) == 0 || EnoughVoters(c, h, check):
			case len(out) < warningsMax:
				out = append(out, fmt.Sprintf("%s %q has %s with the host's own without those in except, and regions_min of "+
					"the rule asks for %d: it stays pending or unknown; leave fewer regions out", h.Name, check.Name,
					mesh.Count(len(Voters(c, h, check))+1, "region"), c.Rule.RegionsMin))
			default:
				more++
			}
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%s %s too few regions because of except", mesh.Count(more, "more check"),
			mesh.Verb(more, more, "has", "have")))
	}
	return out
}

// Voters returns the regions that have hosts and a vote on the check, sorted: neither the host's own nor those that
// leave the check out.
func Voters(c *Catalog, h *Host, check *Check) (out []string) {
	for i := range c.Hosts {
		region := c.Hosts[i].Region
		if region != h.Region && !slices.Contains(check.Except, region) && !slices.Contains(out, region) {
			out = append(out, region)
		}
	}
	slices.Sort(out)
	return out
}

// EnoughVoters reports whether a check can have a verdict: whether there are as many regions, with the host's own, as
// regions_min asks for.
func EnoughVoters(c *Catalog, h *Host, check *Check) bool {
	n := len(Voters(c, h, check)) + 1
	return n >= c.Rule.RegionsMin || n == 2 && c.Rule.AllowTwoRegions
}

// regionsWithHosts counts the regions that have a vote on some host. The host's own region counts as one.
func (c *Catalog) regionsWithHosts() int {
	regions := map[string]bool{}
	for i := range c.Hosts {
		regions[c.Hosts[i].Region] = true
	}
	return len(regions)
}
