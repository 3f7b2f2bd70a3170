package judge_test

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// mill is the gossip of a modelled mesh: every agent is a member, also one that is cut from NATS.
type mill struct {
	on   bool
	hush map[string]time.Duration // hosts whose agents answer nothing, and since when
	lies map[string]string        // what a member says of a host whatever is true, by "MEMBER HOST": alive or dead
	fake map[string]bool          // hosts for which one member forges the acknowledgements that all others receive
	mute map[string]bool          // members that say nothing of gossip
}

// deadAfter is how long a modelled host must be hushed until the others hold it dead.
const deadAfter = 10 * time.Second

func newMill() mill {
	return mill{hush: map[string]time.Duration{}, fake: map[string]bool{}, lies: map[string]string{}, mute: map[string]bool{}}
}

// tell does what a line of a story says of gossip, and reports whether it was one.
func (w *world) tell(l line) bool {
	switch l.verb {
	case "hush":
		for _, host := range l.args {
			w.gossip.hush[mesh.Key(host)] = w.elapsed
		}
	case "answers":
		for _, host := range l.args {
			delete(w.gossip.hush, mesh.Key(host))
		}
	case "forged":
		for _, host := range l.args {
			w.gossip.fake[mesh.Key(host)] = true
		}
	case "lies":
		w.gossip.lies[l.args[0]+" "+mesh.Key(l.args[1])] = l.args[2]
	case "mute":
		w.where(l.args, func(a *agent) { w.gossip.mute[a.key] = true })
	default:
		return false
	}
	return true
}

// rumours is what the agent's batch reports: a proof of the host it asks now, those of hosts whose ping it lost, and
// who is dead; and acknowledgements of the same and of those that are forged.
func (w *world) rumours(a *agent) (out mesh.Gossip) {
	if !w.gossip.on || w.gossip.mute[a.key] {
		return out
	}
	turn := int(w.elapsed / (2 * time.Second))
	for i := range w.catalog.Hosts {
		h := &w.catalog.Hosts[i]
		since, hushed := w.gossip.hush[h.Key()]
		proved, dead := !hushed && (w.losesPing(a, h.Key()) || turn%len(w.catalog.Hosts) == i), hushed && w.elapsed-since >= deadAfter
		if lie := w.gossip.lies[a.key+" "+h.Key()]; lie != "" {
			proved, dead, since = lie == "alive", lie == "dead", w.elapsed
		}
		sent := mesh.Rumour{Host: h.Key(), At: epoch.Add(w.elapsed - step)}
		if h.Key() != a.key && (proved || w.gossip.fake[h.Key()]) {
			out.Acks = append(out.Acks, sent)
		}
		switch {
		case h.Key() == a.key:
		case proved:
			out.Proofs = append(out.Proofs, sent)
		case dead:
			out.Dead = append(out.Dead, mesh.Rumour{Host: h.Key(), At: epoch.Add(since)})
		}
	}
	for _, list := range [][]mesh.Rumour{out.Acks, out.Proofs} {
		slices.SortFunc(list, func(x, y mesh.Rumour) int { return strings.Compare(x.Host, y.Host) })
	}
	return out
}

func (w *world) losesPing(a *agent, host string) bool {
	for p := range w.broken {
		if p.vantage == a.key && p.host == host && p.check == "ping" {
			return true
		}
	}
	return false
}
