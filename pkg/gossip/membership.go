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

// manage starts and ends the membership as keys and catalogs arrive. It is the only goroutine that does.
func (g *Gossip) manage(ctx context.Context) {
	keys := g.config.Keys
	var current *catalog.Catalog
	var advertised netip.Addr
	joined := make(chan struct{}, 1)
	joining, warned := false, false
	var resolving atomic.Bool
	retry := time.NewTimer(0)
	defer retry.Stop()
	defer g.leave()
	for {
		select {
		case <-ctx.Done():
			return
		case <-joined:
			joining = false
			retry.Reset(g.rejoinIn())
			continue
		case current = <-g.catalogs:
		case keys = <-g.keys:
			g.replaceKeys(keys)
		case <-retry.C:
		}
		retry.Reset(rejoinEvery)
		// In the background: a resolver that does not answer must not delay a new catalog.
		if resolving.CompareAndSwap(false, true) {
			g.tasks.Go(func() { defer resolving.Store(false); g.resolveNames(ctx) })
		}
		address, err := g.address(ctx, current)
		if g.list.Load() != nil && err == nil && address != advertised {
			g.leave() // memberlist cannot change the address of a running member
		}
		if g.list.Load() == nil && err == nil {
			if advertised, err = address, g.open(ctx, keys, address, current); err != nil {
				g.logStartError(err, &warned)
			}
		}
		if g.list.Load() != nil && !joining {
			joining = true
			g.tasks.Go(func() { g.join(ctx); joined <- struct{}{} })
		}
	}
}

// logStartError warns once that gossip cannot start. The mesh works without it.
func (g *Gossip) logStartError(err error, warned *bool) {
	if *warned || errors.Is(err, ErrNotRunning) {
		g.config.Logger.Debug().Err(err).Msg("gossip not started")
		return
	}
	*warned = true
	g.config.Logger.Warn().Err(err).Dur("retry", rejoinEvery).Msg("gossip not started")
}

// address returns where other members find this host: the catalog's address, since this machine's own may be behind
// NAT or one of several.
func (g *Gossip) address(ctx context.Context, c *catalog.Catalog) (netip.Addr, error) {
	var host *catalog.Host
	if c != nil {
		host = c.Host(g.config.Name)
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

// resolveNames looks up the hosts that have names: gossip is accepted only from known addresses. A name that cannot
// be looked up keeps the addresses that it had.
func (g *Gossip) resolveNames(ctx context.Context) {
	for host, named := range g.registry.namedPeers() {
		if found, err := resolve(ctx, named); err == nil {
			g.registry.setResolved(host, named, found)
		} else {
			g.config.Logger.Debug().Err(err).Str("host", host).Msg("host name not resolved, its gossip is dropped")
		}
	}
}

// resolve looks up a name. Without an error it returns at least one address.
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

// open listens on the gossip port and starts a member.
func (g *Gossip) open(ctx context.Context, keys [][]byte, at netip.Addr, c *catalog.Catalog) error {
	if len(keys) == 0 {
		return fmt.Errorf("%w: no key to encrypt with", ErrNotRunning)
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return err // it does not contain the keys
	}
	logger := newLogger(g.config.Logger)
	bind := "::"
	if g.bind.IsValid() {
		bind = g.bind.String()
	}
	net, err := openTransport(ctx, transportConfig{
		bind: bind, source: g.bind, port: g.port, hosts: len(c.Hosts), accepts: g.registry.accepts,
		proofs: g.prover.receive, log: g.config.Logger, library: logger,
	})
	if err != nil {
		return fmt.Errorf("gossip at %s: %w", g.config.Listen, err)
	}
	list, err := memberlist.Create(g.settings(net, ring, at, c))
	if err != nil {
		_ = net.Shutdown()
		return fmt.Errorf("gossip at %s: %w", g.config.Listen, err)
	}
	g.ring = ring
	g.list.Store(list)
	g.net.Store(net)
	g.config.Logger.Info().Str("listen", g.config.Listen).Stringer("address", at).Msg("gossip started")
	return nil
}

// settings returns memberlist's configuration for a wide-area network, with the intervals of the rule.
func (g *Gossip) settings(
	net *transport, ring *memberlist.Keyring, at netip.Addr, c *catalog.Catalog,
) *memberlist.Config {
	meta := Meta{Region: c.Host(g.config.Name).Region, Version: g.config.Version}
	d := &delegate{registry: g.registry, meta: encodeMeta(meta)}
	s := memberlist.DefaultWANConfig()
	s.Name, s.Transport, s.Logger, s.Keyring = g.config.Name, net, net.config.library, ring
	s.AdvertiseAddr, s.AdvertisePort, s.BindPort = at.String(), net.port(), net.port()
	s.ProbeInterval, s.ProbeTimeout, s.SuspicionMult = g.config.Interval, g.config.Interval/2, suspicion
	s.GossipInterval = g.config.Interval / 2 // each wakes the agent; urgent news also travels with probes
	s.TCPTimeout, s.DeadNodeReclaimTime = tcpMax, reclaimAfter
	s.Delegate, s.Events, s.Alive, s.Ping = d, d, d, d
	s.EnableCompression = false // messages have some hundred bytes; those that others compress are still read
	s.RequireNodeNames = true
	return s
}

// rejoinIn returns when to contact members that are not alive again.
func (g *Gossip) rejoinIn() time.Duration {
	if g.registry.isolated() {
		return rejoinIsolatedEvery
	}
	return rejoinEvery
}

// join contacts some members that are not alive, in random order so that none is left out for long.
func (g *Gossip) join(ctx context.Context) {
	list := g.list.Load()
	if list == nil {
		return
	}
	seeds := g.registry.notAlive()
	rand.Shuffle(len(seeds), func(i, k int) { seeds[i], seeds[k] = seeds[k], seeds[i] })
	for _, s := range seeds[:min(len(seeds), seedsMax)] {
		to := g.registry.address(s.name, g.port)
		if !to.IsValid() {
			continue // its name is not resolved yet
		}
		if _, err := list.Join([]string{s.name + "/" + to.String()}); err != nil {
			g.config.Logger.Debug().Err(err).Str("host", s.name).Msg("gossip member not reached")
		}
	}
}

// leave announces that this agent leaves, and closes the port.
func (g *Gossip) leave() {
	g.net.Store(nil)
	list := g.list.Swap(nil)
	if list == nil {
		return
	}
	for _, m := range g.registry.members(time.Now()) {
		if m.State == Alive || m.State == Suspect {
			to := memberlist.Address{Addr: m.Address.String(), Name: m.Name}
			_ = list.SendToAddress(to, []byte(leavePrefix+g.config.Name)) // where it is lost, others report a death
		}
	}
	if err := list.Leave(leaveMax); err != nil {
		g.config.Logger.Debug().Err(err).Msg("leaving gossip failed")
	}
	_ = list.Shutdown() // it returns no errors but the transport's, which is closed all the same
	g.ring = nil
}
