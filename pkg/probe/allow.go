package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/address"
)

// Allow is what the owner of a machine permits its agent to probe, whatever a catalog says. A coordinator that was stolen could
// otherwise turn the mesh into a weapon. The nil Allow permits everything.
type Allow struct {
	networks []allowedNetwork
	names    map[string][]uint16 // ports; none: every port, and ping
}

type allowedNetwork struct {
	prefix netip.Prefix
	port   uint16 // 0: every port, and ping
}

// allowMax bounds the entries of an allow-list: every probe walks them.
const allowMax = 10_000

// ParseAllow reads entries such as 192.0.2.0/24, 192.0.2.36:25, [2001:db8::36]:25, mail.example.net and mail.example.net:25. What
// names no port permits every port and ping. Without entries it returns nil.
func ParseAllow(entries []string) (*Allow, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if len(entries) > allowMax {
		return nil, fmt.Errorf("%d entries in the allow-list, more than %d: write networks", len(entries), allowMax)
	}
	a := &Allow{names: map[string][]uint16{}}
	for _, entry := range entries {
		if err := a.add(entry); err != nil {
			return nil, fmt.Errorf("allow-list: %q: %w", entry, err)
		}
	}
	return a, nil
}

func (a *Allow) add(entry string) error {
	place, port, err := splitPort(entry)
	if err != nil {
		return err
	}
	if prefix, err := netip.ParsePrefix(strings.TrimSuffix(strings.TrimPrefix(place, "["), "]")); err == nil {
		a.networks = append(a.networks, allowedNetwork{prefix.Masked(), port})
		return nil
	}
	if strings.Contains(place, "/") {
		return fmt.Errorf("write a network as in 192.0.2.0/24 or 2001:db8::/32")
	}
	host, err := address.ParseHost(place)
	if err != nil {
		return err
	}
	if host.IP.IsValid() {
		ip := host.IP.Unmap().WithZone("")
		a.networks = append(a.networks, allowedNetwork{netip.PrefixFrom(ip, ip.BitLen()), port})
		return nil
	}
	name := host.Name
	// A name with a port beside the same name without one permits everything.
	if ports, there := a.names[name]; port != 0 && (!there || len(ports) > 0) {
		a.names[name] = append(ports, port)
	} else {
		a.names[name] = nil
	}
	return nil
}

// splitPort takes the port off an entry's end; 0 means that it has none.
func splitPort(entry string) (place string, port uint16, err error) {
	place, text, has := address.CutPort(strings.TrimSpace(entry))
	if !has {
		return place, 0, nil
	}
	n, err := address.ParsePort(text)
	return place, uint16(n), err
}

// nameKey is how a name is compared.
func nameKey(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// permits reports whether the address may be probed on the port, or pinged where it is 0, because a network permits it.
func (a *Allow) permits(ip netip.Addr, port uint16) bool {
	for _, n := range a.networks {
		if n.prefix.Contains(ip.WithZone("")) && (n.port == 0 || n.port == port) {
			return true
		}
	}
	return false
}

// Lists reports whether an entry, of whatever port, is for the address, which is a number or a name.
func (a *Allow) Lists(address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return a.knows(nameKey(address))
	}
	return slices.ContainsFunc(a.networks, func(n allowedNetwork) bool { return n.prefix.Contains(ip.Unmap().WithZone("")) })
}

// knows reports whether the name is an entry.
func (a *Allow) knows(name string) bool {
	_, there := a.names[name]
	return there
}

// permitsName reports whether a name may be probed on the port, or pinged where it is 0.
func (a *Allow) permitsName(name string, port uint16) bool {
	ports, there := a.names[name]
	return there && (len(ports) == 0 || slices.Contains(ports, port))
}
