package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/address"
)

// Allow is the list of what a machine's owner permits its agent to probe, whatever the catalog demands. Without it, an
// attacker who controls the coordinator could direct the agents at anyone. A nil *Allow permits everything.
type Allow struct {
	networks []allowedNetwork
	names    map[string][]uint16 // permitted ports by nameKey; none: every port, and ping
}

type allowedNetwork struct {
	prefix netip.Prefix
	port   uint16 // 0: every port, and ping
}

// allowMax bounds the entries of an allow-list, since every probe compares its address with all of them.
const allowMax = 10_000

// ParseAllow parses entries such as 192.0.2.0/24, 192.0.2.36:25, [2001:db8::36]:25, mail.example.net and
// mail.example.net:25. An entry without a port permits every port, and ping. Without entries it returns nil.
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
	target, port, err := splitPort(entry)
	if err != nil {
		return err
	}
	if prefix, err := netip.ParsePrefix(strings.TrimSuffix(strings.TrimPrefix(target, "["), "]")); err == nil {
		a.networks = append(a.networks, allowedNetwork{prefix.Masked(), port})
		return nil
	}
	if strings.Contains(target, "/") {
		return fmt.Errorf("write a network as in 192.0.2.0/24 or 2001:db8::/32")
	}
	host, err := address.ParseHost(target)
	if err != nil {
		return err
	}
	if host.IP.IsValid() {
		ip := host.IP.Unmap().WithZone("")
		a.networks = append(a.networks, allowedNetwork{netip.PrefixFrom(ip, ip.BitLen()), port})
		return nil
	}
	name := host.Name
	// An empty list permits every port, so once the name was given without a port, a further port must not narrow it.
	if ports, there := a.names[name]; port != 0 && (!there || len(ports) > 0) {
		a.names[name] = append(ports, port)
	} else {
		a.names[name] = nil
	}
	return nil
}

// splitPort splits an entry into its network, address or name and its port, which is 0 if the entry has none.
func splitPort(entry string) (target string, port uint16, err error) {
	target, text, has := address.CutPort(strings.TrimSpace(entry))
	if !has {
		return target, 0, nil
	}
	n, err := address.ParsePort(text)
	return target, uint16(n), err
}

// nameKey is the form in which names are compared.
func nameKey(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// permits reports whether a network in the list contains the address and permits the port; port 0 is a ping.
func (a *Allow) permits(ip netip.Addr, port uint16) bool {
	for _, n := range a.networks {
		if n.prefix.Contains(ip.WithZone("")) && (n.port == 0 || n.port == port) {
			return true
		}
	}
	return false
}

// Lists reports whether any entry, with whatever port, covers the address, which is an IP address or a name.
func (a *Allow) Lists(address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return a.hasName(nameKey(address))
	}
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(a.networks, func(n allowedNetwork) bool { return n.prefix.Contains(ip) })
}

// hasName reports whether an entry has the name, with whatever port.
func (a *Allow) hasName(name string) bool {
	_, there := a.names[name]
	return there
}

// permitsName reports whether the list has the name and permits the port; port 0 is a ping.
func (a *Allow) permitsName(name string, port uint16) bool {
	ports, there := a.names[name]
	return there && (len(ports) == 0 || slices.Contains(ports, port))
}
