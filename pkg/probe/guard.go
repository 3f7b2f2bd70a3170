package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	names map[string][]netip.Addr // the addresses that the allowed names resolved to last
}

// NewGuard returns a Guard around a network. A nil allow-list permits everything; Caps always apply.
func NewGuard(network Network, allow *Allow) *Guard {
	return &Guard{network: network, allow: allow, caps: NewCaps(), names: map[string][]netip.Addr{}}
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
		g.mu.Lock()
		defer g.mu.Unlock()
		g.names[key] = slices.DeleteFunc(slices.Clone(addresses), isInternal)
	}
	return addresses, nil
}

// isInternal reports whether an address belongs to this machine, its links or a multicast group. No public name has
// such an address for good reasons; a DNS answer with one may be an attack on services that listen only locally.
func isInternal(ip netip.Addr) bool { return !ip.IsGlobalUnicast() }

// admit counts a probe that may be sent, and returns an error for one that may not; port 0 is a ping.
func (g *Guard) admit(to netip.Addr, port uint16) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.allowed(to.Unmap(), port) {
		where := to.String()
		if port != 0 {
			where = netip.AddrPortFrom(to, port).String()
		}
		return &NotPermittedError{fmt.Sprintf("this agent's allow-list has no %s (agent run --allow)", where)}
	}
	// After the allow-list, so that a forbidden probe does not use up the caps of permitted ones.
	if !g.caps.Allow(time.Now(), to.Unmap().WithZone("").String()) {
		return ErrTooMany
	}
	return nil
}

// allowed reports whether the allow-list permits the address, by a network or by a name that resolved to it. The
// caller holds the mutex.
func (g *Guard) allowed(to netip.Addr, port uint16) bool {
	if g.allow == nil || g.allow.permits(to, port) {
		return true
	}
	for name, addresses := range g.names {
		if g.allow.permitsName(name, port) && slices.Contains(addresses, to) {
			return true
		}
	}
	return false
}
