package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// own is the goroutine that starts and ends the membership.
func (g *Gossip) manage(ctx context.Context) {
	keys := g.Keys
	var self *catalog.Catalog
	var at netip.Addr // the address that is told to the others
	joined := make(chan struct{}, 1)
	joining, told := false, false
	var resolving atomic.Bool
	again := time.NewTimer(0)
	defer again.Stop()
	defer g.leave()
	for {
		select {
		case <-ctx.Done():
			return
		case <-joined:
			joining = false
			again.Reset(g.rejoinIn())
			continue
		case self = <-g.catalogs:
		case keys = <-g.keys:
			g.replaceKeys(keys)
		case <-again.C:
		}
		again.Reset(rejoinEvery)
		if resolving.CompareAndSwap(false, true) {
			g.tasks.Go(func() { defer resolving.Store(false); g.resolveNames(ctx) })
		}
		where, err := g.address(ctx, self)
		if g.list.Load() != nil && err == nil && where != at {
			g.leave()
		}
		if g.list.Load() == nil && err == nil {
			if at, err = where, g.open(ctx, keys, where, self); err != nil {
				g.logStartError(err, &told)
			}
		}
		if g.list.Load() != nil && !joining {
			joining = true
			g.tasks.Go(func() { g.join(ctx); joined <- struct{}{} })
		}
	}
}

// complain says once that gossip cannot start; it is no fault of the mesh.
func (g *Gossip) logStartError(err error, told *bool) {
	if *told || errors.Is(err, ErrNotRunning) {
		g.Logger.Debug().Err(err).Msg("still no gossip")
		return
	}
	*told = true
	g.Logger.Warn().Err(err).Msg("no gossip, which this agent does without; tried again every minute")
}

// address is where the others find this host: as the catalog says, so that neither NAT nor several interfaces do harm.
func (g *Gossip) address(ctx context.Context, c *catalog.Catalog) (netip.Addr, error) {
	var host *catalog.Host
	if c != nil {
		host = c.Host(g.Name)
	}
	if host == nil || len(host.Addresses) == 0 {
		return netip.Addr{}, ErrNotRunning
	}
	if ip, err := netip.ParseAddr(host.Addresses[0]); err == nil {
		return ip.Unmap(), nil
	}
	found, err := resolve(ctx, host.Addresses[0])
	if err != nil {
		return netip.Addr{}, err
	}
	return found[0], nil
}

// resolveNames looks up the hosts that the catalog names: gossip is heard only from addresses that are known. A name
// that cannot be looked up keeps the addresses it had.
func (g *Gossip) resolveNames(ctx context.Context) {
	for host, named := range g.registry.names() {
		if found, err := resolve(ctx, named); err == nil {
			g.registry.resolved(host, named, found)
		} else {
			g.Logger.Debug().Err(err).Str("host", host).Msg("gossip from a host is dropped until its name resolves")
		}
	}
}

// resolve looks up a name. Without an error it returns one address at least.
func resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveMax)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, nil
}

// open takes the port and becomes a member.
func (g *Gossip) open(ctx context.Context, keys [][]byte, at netip.Addr, c *catalog.Catalog) error {
	if len(keys) == 0 {
		return fmt.Errorf("%w: no key to encrypt with", ErrNotRunning)
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return err // without the keys in it
	}
	logger := newLogger(g.Logger)
	bind := "::"
	if g.bind.IsValid() {
		bind = g.bind.String()
	}
	net, err := openTransport(ctx, transportConfig{
		bind: bind, source: g.bind, port: g.port, hosts: len(c.Hosts), accepts: g.registry.accepts, proofs: g.prover.receive,
		logger: logger,
	})
	if err != nil {
		return fmt.Errorf("gossip at %s: %w", g.Listen, err)
	}
	list, err := memberlist.Create(g.settings(net, ring, at, c))
	if err != nil {
		_ = net.Shutdown()
		return fmt.Errorf("gossip at %s: %w", g.Listen, err)
	}
	g.ring = ring
	g.list.Store(list)
	g.net.Store(net)
	g.Logger.Info().Str("listen", g.Listen).Stringer("address", at).Msg("gossip begins")
	return nil
}

// settings are memberlist's for a wide network, with what the rule asks.
func (g *Gossip) settings(net *transport, ring *memberlist.Keyring, at netip.Addr, c *catalog.Catalog) *memberlist.Config {
	d := &delegate{registry: g.registry, meta: encodeMeta(Meta{Region: c.Host(g.Name).Region, Version: g.Version})}
	s := memberlist.DefaultWANConfig()
	s.Name, s.Transport, s.Logger, s.Keyring = g.Name, net, net.logger, ring
	s.AdvertiseAddr, s.AdvertisePort, s.BindPort = at.String(), net.GetAutoBindPort(), net.GetAutoBindPort()
	s.ProbeInterval, s.ProbeTimeout, s.SuspicionMult = g.Interval, g.Interval/2, suspicion
	s.GossipInterval = g.Interval / 2 // each is a wake-up; what is urgent also rides on the probes
	s.TCPTimeout, s.DeadNodeReclaimTime = tcpMax, reclaimAfter
	s.Delegate, s.Events, s.Alive, s.Ping = d, d, d, d
	s.EnableCompression = false // some hundred bytes; what others pack is still read
	s.RequireNodeNames = true
	return s
}

// rejoinIn is when to knock at others again.
func (g *Gossip) rejoinIn() time.Duration {
	if g.registry.alone() {
		return aloneEvery
	}
	return rejoinEvery
}

// join knocks at some of those who are not alive.
func (g *Gossip) join(ctx context.Context) {
	list := g.list.Load()
	if list == nil {
		return
	}
	seeds := g.registry.absent()
	rand.Shuffle(len(seeds), func(i, k int) { seeds[i], seeds[k] = seeds[k], seeds[i] })
	for _, s := range seeds[:min(len(seeds), seedsMax)] {
		to := g.registry.address(s.name, g.port)
		if !to.IsValid() {
			continue // its name did not resolve yet
		}
		if _, err := list.Join([]string{s.name + "/" + to.String()}); err != nil {
			g.Logger.Debug().Err(err).Str("host", s.name).Msg("no gossip with a host yet")
		}
	}
}

// leave tells the others, and gives up the port.
func (g *Gossip) leave() {
	g.net.Store(nil)
	list := g.list.Swap(nil)
	if list == nil {
		return
	}
	for _, m := range g.registry.members(time.Now()) {
		if m.State == Alive || m.State == Suspect {
			_ = list.SendToAddress(memberlist.Address{Addr: m.Address.String(), Name: m.Name}, []byte(goodbye+g.Name)) // a word lost is a death that was none
		}
	}
	if err := list.Leave(leaveMax); err != nil {
		g.Logger.Debug().Err(err).Msg("the others may take this agent for dead")
	}
	_ = list.Shutdown() // ends what it started; it has no errors of its own
	g.ring = nil
}
