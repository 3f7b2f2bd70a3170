package probe

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// ErrTooMany reports that a probe was not sent because of Caps: a limit of the agent, not a fault of the target.
var ErrTooMany = fmt.Errorf(
	"not sent: over this agent's cap of %d probes a second to one address, or %d in all", TargetRate, TotalRate)

// Guard is a Network that enforces the owner's allow-list and Caps. It checks the address of each Dial and Ping, and
// not the name in the catalog, since the name may resolve to any address.
type Guard struct {
	network Network
	allow   *Allow

	mu    sync.Mutex
	caps  *Caps
	names map[string]map[netip.Addr]time.Time // when the allowed names last resolved to each address
}

// resolvedFor is how long an address of an allowed name is permitted after the name resolved to it: longer than any
// probe. Probes of both families, or of a name whose addresses rotate, overlap, so one answer must not replace another.
const resolvedFor = 2 * time.Minute

// resolvedMax bounds the addresses of one name that are permitted at a time.
const resolvedMax = 1024

// NewGuard returns a Guard around a network. A nil allow-list permits everything; Caps always apply.
func NewGuard(network Network, allow *Allow) *Guard {
	return &Guard{network: network, allow: allow, caps: NewCaps(), names: map[string]map[netip.Addr]time.Time{}}
}

// Dial connects if the allow-list and the caps permit it.
func (g *Guard) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if err := g.admit(to.Addr(), to.Port()); err != nil {
		return nil, err
	}
	return g.network.Dial(ctx, network, address)
}

// Ping sends an echo request if the allow-list and the caps permit it.
func (g *Guard) Ping(ctx context.Context, address netip.Addr) (time.Duration, error) {
	if err := g.admit(address, 0); err != nil {
		return 0, err
	}
	return g.network.Ping(ctx, address)
}

// Resolve resolves any name, and remembers the addresses of an allowed one for the Dial or Ping that follows.
func (g *Guard) Resolve(ctx context.Context, family mesh.Family, name string) ([]netip.Addr, error) {
	addresses, err := g.network.Resolve(ctx, family, name)
	if err != nil || g.allow == nil {
		return addresses, err
	}
	if key := nameKey(name); g.allow.hasName(key) {
		g.remember(key, addresses, time.Now())
	}
	return addresses, nil
}

// remember records the addresses that an allowed name resolved to, and forgets those that it no longer resolves to.
func (g *Guard) remember(name string, addresses []netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.names[name]
	if known == nil {
		known = map[netip.Addr]time.Time{}
		g.names[name] = known
	}
	maps.DeleteFunc(known, func(_ netip.Addr, at time.Time) bool { return now.Sub(at) >= resolvedFor })
	if len(known)+len(addresses) > resolvedMax {
		clear(known) // a hostile name server: the latest answer is what this probe needs
	}
	for _, ip := range addresses[:min(len(addresses), resolvedMax)] {
		if !isInternal(ip) {
			known[ip.Unmap()] = now
		}
	}
}

// isInternal reports whether an address belongs to this machine, its links or a multicast group. No public name has
// such an address for good reasons; a DNS answer with one may be an attack on services that listen only locally.
func isInternal(ip netip.Addr) bool { return !ip.IsGlobalUnicast() }

// admit counts a probe that may be sent, and returns an error for one that may not; port 0 is a ping.
func (g *Guard) admit(to netip.Addr, port uint16) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !g.allowed(to.Unmap(), port, now) {
		where := to.String()
		if port != 0 {
			where = netip.AddrPortFrom(to, port).String()
		}
		return &NotPermittedError{fmt.Sprintf("this agent's allow-list has no %s (agent run --allow)", where)}
	}
	// After the allow-list, so that a forbidden probe does not use up the caps of permitted ones.
	if !g.caps.Allow(now, to.Unmap().WithZone("").String()) {
		return ErrTooMany
	}
	return nil
}

// allowed reports whether the allow-list permits the address, by a network or by a name that resolved to it lately. The
// caller holds the mutex.
func (g *Guard) allowed(to netip.Addr, port uint16, now time.Time) bool {
	if g.allow == nil || g.allow.permits(to, port) {
		return true
	}
	for name, addresses := range g.names {
		if at, resolved := addresses[to]; resolved && now.Sub(at) < resolvedFor && g.allow.permitsName(name, port) {
			return true
		}
	}
	return false
}
