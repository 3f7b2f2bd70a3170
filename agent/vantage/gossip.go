package vantage

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Gossip is what a vantage needs of the mesh's gossip.
type Gossip interface {
	// SetCatalog tells who may take part. It does not wait.
	SetCatalog(*catalog.Catalog)
	// Ping asks the host itself, and returns when it acknowledged or did not. It may be called from any goroutine.
	Ping(host string) error
	// Members are the other hosts that gossip knows, by name.
	Members() []gossip.Member
}

// deathTold is for how long a batch tells that a host died: whoever is dead for longer is known to be.
const deathTold = 10 * time.Minute

// askEvery is how often gossip asks a host whose pings are lost, at most: what it acknowledges goes out at once.
const askEvery = time.Second

// rumours is what this vantage told and asks of gossip.
type rumours struct {
	told   map[string]time.Time // the latest acknowledgement that a batch told, by host
	asked  map[string]time.Time // by gossip, because of lost pings
	asking map[string]bool
}

func newRumours() rumours {
	return rumours{map[string]time.Time{}, map[string]time.Time{}, map[string]bool{}}
}

// doubt has gossip ask the host of a ping that was lost: one that acknowledges is not gone.
func (v *vantage) doubt(d *duty, o mesh.Observation) {
	if d.Check.Kind == catalog.KindPing && o.Outcome == mesh.Unreachable {
		v.askByGossip(d.Host.Key())
	}
}

func (v *vantage) askByGossip(host string) {
	now := time.Now()
	if v.Gossip == nil || v.rumours.asking[host] || now.Sub(v.rumours.asked[host]) < askEvery {
		return
	}
	v.rumours.asked[host] = now
	v.rumours.asking[host] = true
	v.tasks.Go(func() {
		err := v.Gossip.Ping(host)
		v.report(func() {
			delete(v.rumours.asking, host)
			if err == nil && v.losesPings(host) {
				v.flushAt = earlier(v.flushAt, time.Now().Add(promptly))
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
	for _, m := range v.Gossip.Members() {
		if m.Asked.After(v.rumours.told[m.Name]) && len(out.Acks) < wire.RumoursMax {
			v.rumours.told[m.Name] = m.Asked
			out.Acks = append(out.Acks, mesh.Rumour{Host: m.Name, At: m.Asked})
		}
		if m.State == gossip.Dead && now.Sub(m.Since) < deathTold {
			out.Dead = append(out.Dead, mesh.Rumour{Host: m.Name, At: m.Since})
		}
	}
	if len(out.Dead) > wire.RumoursMax { // the latest ones
		slices.SortFunc(out.Dead, func(a, b mesh.Rumour) int { return b.At.Compare(a.At) })
		out.Dead = out.Dead[:wire.RumoursMax]
		slices.SortFunc(out.Dead, func(a, b mesh.Rumour) int { return cmp.Compare(a.Host, b.Host) })
	}
	for key, d := range v.duties {
		if d.bad && d.Check.Kind == catalog.KindPing {
			v.askByGossip(key.host)
		}
	}
	return out
}
