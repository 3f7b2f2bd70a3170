package judge_test

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// gossipModel is the gossip of the modelled mesh: every agent is a member, also one that is cut from NATS.
type gossipModel struct {
	on   bool
	hush map[string]time.Duration // hosts whose agents answer nothing, and since when
	lies map[string]string        // what a member reports of a host whatever is true, by "MEMBER HOST": alive or dead
	fake map[string]bool          // hosts for which one member forges the acknowledgements that all others receive
	mute map[string]bool          // members that report nothing of gossip
}

// deadAfter is how long a host must not answer until the others consider it dead.
const deadAfter = 10 * time.Second

func newGossipModel() gossipModel {
	return gossipModel{hush: map[string]time.Duration{}, fake: map[string]bool{}, lies: map[string]string{},
		mute: map[string]bool{}}
}

// changeGossip changes what gossip does, and reports whether the line is about that.
func (w *world) changeGossip(l line) bool {
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
		w.eachAgent(l.args, func(a *agent) { w.gossip.mute[a.key] = true })
	default:
		return false
	}
	return true
}

// gossipReport returns what the agent's batch reports: proofs of the host that it asks now and of those whose ping it
// lost, and dead hosts; and acknowledgements of the same hosts and of forged ones.
func gossipReport(w *world, a *agent) (out mesh.Gossip) {
	if !w.gossip.on || w.gossip.mute[a.key] {
		return out
	}
	turn := int(w.elapsed / (2 * time.Second))
	for i := range w.catalog.Hosts {
		h := &w.catalog.Hosts[i]
		since, hushed := w.gossip.hush[h.Key()]
		proved, dead := !hushed && (losesPing(w, a, h.Key()) || turn%len(w.catalog.Hosts) == i), hushed &&
			w.elapsed-since >= deadAfter
		if lie := w.gossip.lies[a.key+" "+h.Key()]; lie != "" {
			proved, dead, since = lie == "alive", lie == "dead", w.elapsed
		}
		sent := mesh.GossipEntry{Host: h.Key(), At: epoch.Add(w.elapsed - step)}
		if h.Key() != a.key && (proved || w.gossip.fake[h.Key()]) {
			out.Acks = append(out.Acks, sent)
		}
		switch {
		case h.Key() == a.key:
		case proved:
			out.Proofs = append(out.Proofs, sent)
		case dead:
			out.Dead = append(out.Dead, mesh.GossipEntry{Host: h.Key(), At: epoch.Add(since)})
		}
	}
	for _, list := range [][]mesh.GossipEntry{out.Acks, out.Proofs} {
		slices.SortFunc(list, func(x, y mesh.GossipEntry) int { return strings.Compare(x.Host, y.Host) })
	}
	return out
}

func losesPing(w *world, a *agent, host string) bool {
	for p := range w.broken {
		if p.vantage == a.key && p.host == host && p.check == "ping" {
			return true
		}
	}
	return false
}
