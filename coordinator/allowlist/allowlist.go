// Package allowlist lists the addresses that a mesh's probes come from, in the formats of programs that would otherwise
// mistake several vantages at one server for an attack: nftables, Postfix's postscreen and fail2ban. Collect makes the
// list, a Format writes it.
package allowlist

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// List is the addresses that probes come from.
type List struct {
	Addresses []netip.Addr // each once, in the catalog's order
	Missing   []string     // a sentence for each address that is not known, for the person who writes the catalog
}

// Lookup resolves a name to its addresses, as net.Resolver.LookupNetIP does.
type Lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)

// Collect lists the addresses of all hosts of the catalog, since an agent may run on any of them. Names are resolved.
func Collect(ctx context.Context, c *catalog.Catalog, lookup Lookup) List {
	var l List
	for i := range c.Hosts {
		host := &c.Hosts[i]
		if len(host.Addresses) == 0 {
			l.Missing = append(l.Missing,
				host.Name+" has no address in the catalog: add the one that its probes come from")
		}
		for _, address := range host.Addresses {
			if ip, err := netip.ParseAddr(address); err == nil {
				l.add(ip)
				continue
			}
			found, err := lookup(ctx, "ip", address)
			if err != nil {
				l.Missing = append(l.Missing,
					fmt.Sprintf("%s is %s, which cannot be resolved: add its address", host.Name, address))
			}
			for _, ip := range found {
				l.add(ip)
			}
		}
	}
	return l
}

// add adds an address that is not in the list yet. Resolvers return IPv4 addresses in IPv6 form too, which no firewall
// expects.
func (l *List) add(ip netip.Addr) {
	if ip = ip.Unmap().WithZone(""); !slices.Contains(l.Addresses, ip) {
		l.Addresses = append(l.Addresses, ip)
	}
}

// family joins the IPv4 or the IPv6 addresses.
func (l List) family(v4 bool) string {
	var out []string
	for _, ip := range l.Addresses {
		if ip.Is4() == v4 {
			out = append(out, ip.String())
		}
	}
	return strings.Join(out, ", ")
}
