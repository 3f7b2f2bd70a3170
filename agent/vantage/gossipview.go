package vantage

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Gossip is what a vantage needs of the mesh's gossip.
type Gossip interface {
	// SetCatalog sets where the hosts are and whose agents are admitted, with their public keys; nil keys: the
	// coordinator is too old to send them. It does not wait.
	SetCatalog(c *catalog.Catalog, keys map[string]ed25519.PublicKey)
	// Prove asks the host for a proof that it is alive, and returns nil once the proof arrives. It may be called from
	// any goroutine.
	Prove(ctx context.Context, host string) error
	// Proofs returns this agent's first-hand evidence about the other hosts, by name.
	Proofs() []gossip.Proof
	// Members returns the other hosts as the agents report them to one another, by name. Any agent can forge these
	// reports.
	Members() []gossip.Member
}

const (
	deathReportedFor = 10 * time.Minute // batches report a dead host for so long; by then every coordinator knows
	proofInterval    = time.Second      // between two requests for a proof to the same host
)

// gossipView is what this vantage requested of gossip and reported from it. All its methods do nothing where the
// agent does not gossip.
type gossipView struct {
	gossip    Gossip // nil: this agent does not gossip
	ctx       context.Context
	tasks     *sync.WaitGroup
	reported  map[string]time.Time // the latest proof that a batch reported, by host
	requested map[string]time.Time // the latest request for a proof
	pending   map[string]bool      // hosts that were asked and have not answered
	results   chan proofResult
}

// proofResult is the result of a request for a proof.
type proofResult struct {
	host string
	err  error
}

func newGossipView(ctx context.Context, g Gossip, tasks *sync.WaitGroup) *gossipView {
	return &gossipView{
		gossip: g, ctx: ctx, tasks: tasks, reported: map[string]time.Time{}, requested: map[string]time.Time{},
		pending: map[string]bool{}, results: make(chan proofResult, eventsMax),
	}
}

func (g *gossipView) setCatalog(c *catalog.Catalog, keys map[string]ed25519.PublicKey) {
	if g.gossip != nil {
		g.gossip.SetCatalog(c, keys)
	}
}

// requestProof asks a host, in the background, to prove that it is alive. The loop receives the result.
func (g *gossipView) requestProof(host string, now time.Time) {
	if g.gossip == nil || g.pending[host] || now.Sub(g.requested[host]) < proofInterval {
		return
	}
	g.requested[host], g.pending[host] = now, true
	g.tasks.Go(func() {
		r := proofResult{host, g.gossip.Prove(g.ctx, host)}
		select {
		case g.results <- r:
		case <-g.ctx.Done():
		}
	})
}

// report returns what the next batch reports of gossip: proofs that no batch has reported, and hosts that died
// lately. It reports a death only where this agent's own challenge confirms it, and sends a challenge where there is
// none yet.
func (g *gossipView) report(now time.Time) mesh.Gossip {
	var out mesh.Gossip
	if g.gossip == nil {
		return out
	}
	proofs := map[string]gossip.Proof{}
	for _, p := range g.gossip.Proofs() {
		proofs[p.Host] = p
		if p.Proved.After(g.reported[p.Host]) && len(out.Proofs) < wire.GossipEntriesMax {
			g.reported[p.Host] = p.Proved
			out.Proofs = append(out.Proofs, mesh.GossipEntry{Host: p.Host, At: p.Proved})
		}
	}
	out.Acks = out.Proofs // for a coordinator of version N-1
	for _, m := range g.gossip.Members() {
		if m.State != gossip.Dead || now.Sub(m.Since) >= deathReportedFor {
			continue
		}
		if proofs[m.Name].Confirms(m) {
			out.Dead = append(out.Dead, mesh.GossipEntry{Host: m.Name, At: m.Since})
		} else {
			g.requestProof(m.Name, now)
		}
	}
	if len(out.Dead) > wire.GossipEntriesMax { // keep the latest deaths, in the order of the names
		slices.SortFunc(out.Dead, func(a, b mesh.GossipEntry) int { return b.At.Compare(a.At) })
		out.Dead = out.Dead[:wire.GossipEntriesMax]
		slices.SortFunc(out.Dead, func(a, b mesh.GossipEntry) int { return cmp.Compare(a.Host, b.Host) })
	}
	return out
}

// gossipReport returns what a batch reports of gossip, which is nothing while NATS is away: it is worth nothing
// later. Hosts whose pings are lost are asked for another proof meanwhile, so that the next batch can report it.
func (v *vantage) gossipReport(now time.Time) mesh.Gossip {
	if _, connected := v.config.Bus.Connected(); !connected {
		return mesh.Gossip{}
	}
	report := v.gossip.report(now)
	for host := range v.duties.lostPings() {
		v.gossip.requestProof(host, now)
	}
	return report
}

// handleProof handles the result of a request for a proof. One that contradicts a lost ping leaves at once.
func (v *vantage) handleProof(r proofResult, now time.Time) {
	delete(v.gossip.pending, r.host)
	if r.err == nil && v.duties.lostPings()[r.host] {
		v.flushSoon(now)
	}
}

// lostPings returns the hosts of which a ping is bad from here.
func (all duties) lostPings() map[string]bool {
	hosts := map[string]bool{}
	for key, d := range all {
		if d.bad && d.Check.Kind == catalog.KindPing {
			hosts[key.host] = true
		}
	}
	return hosts
}

// permitted returns the catalog without the hosts that this machine's owner does not permit. Gossip connects to the
// catalog's addresses, and must not become a way around the allow-list. self stays, or the agent could not gossip at
// all.
func permitted(c *catalog.Catalog, allow *probe.Allow, self string) *catalog.Catalog {
	if allow == nil {
		return c
	}
	out := *c
	out.Hosts = slices.DeleteFunc(slices.Clone(c.Hosts), func(h catalog.Host) bool {
		forbidden := func(address string) bool { return !allow.Lists(address) }
		return h.Key() != self && slices.ContainsFunc(h.Addresses, forbidden)
	})
	return &out
}
