package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// gossipView is what a vantage's gossip reports of hosts. A proof lets a vantage that lost only pings vote ok, and
// distinguishes an agent that is gone from one that is cut from NATS; a death requests a round. It turns nothing up or
// down by itself. Acknowledgements of memberlist, which agents of the previous version report, are ignored: any holder
// of the gossip key can forge them.
type gossipView struct {
	proofs map[string]*answers // when the nonces were sent that the host signed, by host's key
	dead   []string            // hosts that it considers dead, by key
}

const (
	// deathWitnesses is how many regions must report a host dead before a round: one member's report proves nothing.
	deathWitnesses = 2
	// aliveWitnesses is how many vantages must have a silent agent's proof, for the same reason.
	aliveWitnesses = 2
	// aliveFor is how long such a proof counts: each member asks one other every two seconds.
	aliveFor = 20 * time.Second
)

// of returns the host's proofs.
func (g *gossipView) of(host string) *answers {
	if g.proofs == nil {
		g.proofs = map[string]*answers{}
	}
	if g.proofs[host] == nil {
		g.proofs[host] = &answers{}
	}
	return g.proofs[host]
}

// rename follows hosts that have another name in the catalog that comes into force, and forgets those that are gone:
// their new names, by the former ones, are empty.
func (g *gossipView) rename(to map[string]string) {
	proofs := map[string]*answers{}
	for key, a := range g.proofs {
		if now, ok := to[key]; !ok {
			proofs[key] = a
		} else if now != "" {
			proofs[now] = a
		}
	}
	dead := g.dead[:0:0]
	for _, key := range g.dead {
		if now, ok := to[key]; !ok {
			dead = append(dead, key)
		} else if now != "" {
			dead = append(dead, now)
		}
	}
	g.proofs, g.dead = proofs, dead
}

// gossip applies the gossip reports of batches.
type gossip struct {
	env    *environment
	mesh   *topology
	rounds *rounds
}

// apply applies the report in a batch. It returns the pings that a new proof concerns: nothing new was observed on
// them, but their latest observation may count for something else now.
func (g *gossip) apply(v *vantage, b *mesh.Batch) (changes []edgeChange) {
	if b.Sequence != v.identity.current.highest {
		return nil // overtaken by a later batch
	}
	names := g.mesh.names.of(b.Revision)
	for _, proof := range b.Gossip.Proofs {
		if h := g.mesh.byKey[names.host(proof.Host)]; h != nil && h.key != v.key {
			changes = append(changes, g.addProof(v, h, proof.At)...)
		}
	}
	if len(b.Gossip.Dead) > 0 || len(v.gossip.dead) > 0 {
		g.markDead(v, names, b.Gossip.Dead)
	}
	return changes
}

// addProof records that the host proved to the vantage that it is alive.
func (g *gossip) addProof(v *vantage, h *host, at time.Time) (changes []edgeChange) {
	if at.After(g.env.now) { // a wrong clock must not make a proof last longer
		at = g.env.now
	}
	proofs := v.gossip.of(h.key)
	if !at.After(proofs.last()) {
		return nil
	}
	if at.Sub(proofs.last()) > g.env.rule.Silence {
		proofs.end() // a question that was not answered is not reported, so that a run ends by silence
	}
	proofs.add(at, g.env.rule.RecoverSuccesses)
	for _, c := range h.checks {
		for _, e := range c.edges {
			if e.vantage == v && e.bad() && e.isPing() {
				changes = append(changes, edgeChange{e, e.outcome, c.verdict})
			}
		}
	}
	return changes
}

// markDead replaces the vantage's list of dead hosts, and requests a round of each host that enough regions now report
// dead.
func (g *gossip) markDead(v *vantage, names *translation, dead []mesh.GossipEntry) {
	before := v.gossip.dead
	v.gossip.dead = nil
	for _, r := range dead {
		if key := names.host(r.Host); g.mesh.byKey[key] != nil {
			v.gossip.dead = append(v.gossip.dead, key)
		}
	}
	if slices.Equal(before, v.gossip.dead) {
		return
	}
	for _, key := range append(before, v.gossip.dead...) {
		h := g.mesh.byKey[key]
		if h == nil {
			continue
		}
		was := h.dead
		if h.dead = g.deathReports(h) >= deathWitnesses; h.dead && !was && h.mayFall() {
			g.rounds.request(h, roundRequest{basis: hinted, since: g.env.now})
		}
	}
}

// deathReports returns how many regions besides the host's own report it dead. A vantage that abstains, or is isolated
// in the family that gossip uses, does not count.
func (g *gossip) deathReports(h *host) int {
	families := h.config.Families()
	var regions []string
	for _, v := range g.mesh.order {
		counts := v.abstains(g.env) == "" && (len(families) == 0 || !v.isolated[slot(families[0])])
		reports := v.region != h.config.Region && slices.Contains(v.gossip.dead, h.key)
		if counts && reports && !slices.Contains(regions, v.region) {
			regions = append(regions, v.region)
		}
	}
	return len(regions)
}

// aliveInGossip returns how many vantages have a recent proof of a silent one, from after it fell silent: its agent
// runs, and is cut from NATS.
func aliveInGossip(env *environment, m *topology, v *vantage) int {
	n := 0
	for _, o := range m.order {
		at := o.gossip.proofs[v.key].last()
		proved := at.After(v.heardAt.Add(env.rule.Silence)) && env.now.Sub(at) <= aliveFor
		if o != v && o.counts() && !o.silent && proved {
			n++
		}
	}
	return n
}
