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
	hush map[string]time.Duration // hosts whose agents acknowledge nothing, and since when
	lies map[string]string        // what a member says of a host whatever is true, by "MEMBER HOST": alive or dead
	mute map[string]bool          // members that say nothing of gossip
}

// deadAfter is how long a modelled host must be hushed until the others hold it dead.
const deadAfter = 10 * time.Second

func newMill() mill {
	return mill{hush: map[string]time.Duration{}, lies: map[string]string{}, mute: map[string]bool{}}
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
	case "lies":
		w.gossip.lies[l.args[0]+" "+mesh.Key(l.args[1])] = l.args[2]
	case "mute":
		w.where(l.args, func(a *agent) { w.gossip.mute[a.key] = true })
	default:
		return false
	}
	return true
}

// rumours is what the agent's batch tells: an acknowledgement of the one it probes now, those of hosts whose ping it lost, and who is dead.
func (w *world) rumours(a *agent) (out mesh.Gossip) {
	if !w.gossip.on || w.gossip.mute[a.key] {
		return out
	}
	turn := int(w.elapsed / (2 * time.Second))
	for i := range w.catalog.Hosts {
		h := &w.catalog.Hosts[i]
		since, hushed := w.gossip.hush[h.Key()]
		acks, dead := !hushed && (w.losesPing(a, h.Key()) || turn%len(w.catalog.Hosts) == i), hushed && w.elapsed-since >= deadAfter
		if lie := w.gossip.lies[a.key+" "+h.Key()]; lie != "" {
			acks, dead, since = lie == "alive", lie == "dead", w.elapsed
		}
		switch {
		case h.Key() == a.key:
		case acks:
			out.Acks = append(out.Acks, mesh.Rumour{Host: h.Key(), At: epoch.Add(w.elapsed - step)})
		case dead:
			out.Dead = append(out.Dead, mesh.Rumour{Host: h.Key(), At: epoch.Add(since)})
		}
	}
	slices.SortFunc(out.Acks, func(x, y mesh.Rumour) int { return strings.Compare(x.Host, y.Host) })
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
