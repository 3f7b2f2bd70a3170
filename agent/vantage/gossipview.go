package vantage

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
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

// deathReportedFor is for how long a batch tells that a host died: whoever is dead for longer is known to be.
const deathReportedFor = 10 * time.Minute

// askEvery is how often gossip asks a host whose pings are lost, at most: what it proves goes out at once.
const askEvery = time.Second

// rumours is what this vantage told and asks of gossip.
type rumours struct {
	told   map[string]time.Time // the latest proof that a batch reported, by host
	asked  map[string]time.Time // for a proof
	asking map[string]bool
}

func newRumours() rumours {
	return rumours{map[string]time.Time{}, map[string]time.Time{}, map[string]bool{}}
}

// doubt has gossip ask the host of a ping that was lost: one that proves that it is alive is not gone.
func (v *vantage) confirmByGossip(d *duty, o mesh.Observation) {
	if d.Check.Kind == catalog.KindPing && o.Outcome == mesh.Unreachable {
		v.requestProof(d.Host.Key())
	}
}

func (v *vantage) requestProof(host string) {
	now := time.Now()
	if v.Gossip == nil || v.rumours.asking[host] || now.Sub(v.rumours.asked[host]) < askEvery {
		return
	}
	v.rumours.asked[host] = now
	v.rumours.asking[host] = true
	v.tasks.Go(func() {
		err := v.Gossip.Prove(v.ctx, host)
		v.report(func() {
			delete(v.rumours.asking, host)
			if err == nil && v.losesPings(host) {
				v.flushAt = earlier(v.flushAt, time.Now().Add(coalesceDelay))
			}
		})
	})
}

// losesPings reports whether this vantage calls a ping of the host bad.
func (v *vantage) losesPings(host string) bool {
	for key, d := range v.duties {
		if key.host == host && d.bad && d.Check.Kind == catalog.KindPing {
			return true
		}
	}
	return false
}

// gossip is what a batch tells of gossip; and while pings are lost, whoever does not answer them is asked again for the next one.
func (v *vantage) gossip(now time.Time) mesh.Gossip {
	var out mesh.Gossip
	if _, connected := v.Bus.Connected(); v.Gossip == nil || !connected { // nobody wants to know of it later
		return out
	}
	proofs := map[string]gossip.Proof{}
	for _, p := range v.Gossip.Proofs() {
		proofs[p.Host] = p
		if p.Proved.After(v.rumours.told[p.Host]) && len(out.Proofs) < wire.RumoursMax {
			v.rumours.told[p.Host] = p.Proved
			out.Proofs = append(out.Proofs, mesh.Rumour{Host: p.Host, At: p.Proved})
		}
	}
	out.Acks = out.Proofs // for a coordinator of version N-1
	for _, m := range v.Gossip.Members() {
		if m.State != gossip.Dead || now.Sub(m.Since) >= deathReportedFor {
			continue
		}
		if proofs[m.Name].Confirms(m) {
			out.Dead = append(out.Dead, mesh.Rumour{Host: m.Name, At: m.Since})
		} else {
			v.requestProof(m.Name)
		}
	}
	if len(out.Dead) > wire.RumoursMax { // the latest ones
		slices.SortFunc(out.Dead, func(a, b mesh.Rumour) int { return b.At.Compare(a.At) })
		out.Dead = out.Dead[:wire.RumoursMax]
		slices.SortFunc(out.Dead, func(a, b mesh.Rumour) int { return cmp.Compare(a.Host, b.Host) })
	}
	for key, d := range v.duties {
		if d.bad && d.Check.Kind == catalog.KindPing {
			v.requestProof(key.host)
		}
	}
	return out
}
