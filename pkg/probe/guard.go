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

// ErrTooMany says that a probe was not sent because too many were: our fault, not the host's.
var ErrTooMany = fmt.Errorf("not sent: over this agent's cap of %d probes a second to one address, or %d in all", TargetRate, TotalRate)

// Guard is a Network that keeps within what the machine's owner allows and within Caps. It stands where addresses are dialled, so
// that no name, however it resolves, leads past it.
type Guard struct {
	network Network
	allow   *Allow

	mu    sync.Mutex
	caps  *Caps
	names map[string][]netip.Addr // of the allowed names: what they resolved to last
}

// NewGuard guards a network. A nil allow-list allows everything.
func NewGuard(network Network, allow *Allow) *Guard {
	return &Guard{network: network, allow: allow, caps: NewCaps(), names: map[string][]netip.Addr{}}
}

// Dial connects where that is allowed.
func (g *Guard) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if err := g.pass(to.Addr(), to.Port()); err != nil {
		return nil, err
	}
	return g.network.Dial(ctx, network, address)
}

// Ping sends an echo request where that is allowed.
func (g *Guard) Ping(ctx context.Context, address netip.Addr) (time.Duration, error) {
	if err := g.pass(address, 0); err != nil {
		return 0, err
	}
	return g.network.Ping(ctx, address)
}

// Resolve asks for a name, and remembers what an allowed one leads to.
func (g *Guard) Resolve(ctx context.Context, family mesh.Family, name string) ([]netip.Addr, error) {
	addresses, err := g.network.Resolve(ctx, family, name)
	if err != nil || g.allow == nil {
		return addresses, err
	}
	if key := nameKey(name); g.allow.knows(key) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.names[key] = slices.DeleteFunc(slices.Clone(addresses), inward)
	}
	return addresses, nil
}

// inward reports whether an address is one of this machine, its links or a group: a server with a name is never there, and a DNS
// answer that says so is meant to lead a probe inside.
func inward(ip netip.Addr) bool { return !ip.IsGlobalUnicast() }

// pass reports why a probe may not be sent.
func (g *Guard) pass(to netip.Addr, port uint16) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.allowed(to.Unmap(), port) {
		where := to.String()
		if port != 0 {
			where = netip.AddrPortFrom(to, port).String()
		}
		return &NotPermittedError{fmt.Sprintf("this agent's allow-list has no %s (agent run --allow)", where)}
	}
	if !g.caps.Take(time.Now(), to.Unmap().WithZone("").String()) {
		return ErrTooMany
	}
	return nil
}

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
