package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// rumours is what a vantage's gossip reports. A proof lets a vantage that lost only pings vote ok, and tells an agent
// that is gone from one that is cut from NATS; a death has others look. It makes nothing up or down otherwise.
// Acknowledgements of memberlist, which agents of version N-1 report, are ignored: any holder of the gossip key
// can forge them.
type rumours struct {
	proofs map[string]*answers // when the nonces were sent that the host signed, by host's key
	dead   []string            // hosts that it considers dead, by key
}

const (
	deathWitnesses = 2                // regions whose gossip must hold a host dead before all look: one member's word is not enough
	aliveWitnesses = 2                // vantages that must have a silent agent's proof, for the same reason
	aliveFor       = 20 * time.Second // how long that counts: each member asks one other every two seconds
)

// of are the host's proofs.
func (r *rumours) of(host string) *answers {
	if r.proofs == nil {
		r.proofs = map[string]*answers{}
	}
	if r.proofs[host] == nil {
		r.proofs[host] = &answers{}
	}
	return r.proofs[host]
}

// gossip applies the gossip report in a batch.
func (j *Judge) gossip(v *vantage, b *mesh.Batch) {
	if b.Sequence != v.highest {
		return // overtaken by a later one
	}
	for _, r := range b.Gossip.Proofs {
		if h := j.byKey[r.Host]; h != nil && h.key != v.key {
			j.proved(v, h, r.At)
		}
	}
	if len(b.Gossip.Dead) > 0 || len(v.rumours.dead) > 0 {
		j.mourn(v, b.Gossip.Dead)
	}
}

// proved notes that the host proved to the vantage that it is alive, which may show that only the ping is lost.
func (j *Judge) proved(v *vantage, h *host, at time.Time) {
	if at.After(j.now) {
		at = j.now
	}
	proofs := v.rumours.of(h.key)
	if !at.After(proofs.last()) {
		return
	}
	if at.Sub(proofs.last()) > j.rule.Silence {
		proofs.end() // nobody reports a question that was not answered: a run ends by silence
	}
	proofs.add(at, j.rule.RecoverSuccesses)
	for _, c := range h.checks {
		for _, e := range c.edges {
			if e.vantage == v && e.bad() && e.isPing() {
				j.turns = append(j.turns, turn{e, e.outcome, c.verdict}) // nothing new was seen, and it may count for something else
			}
		}
	}
}

// mourn applies the vantage's list of dead hosts, and requests a round of a host that enough regions report as dead.
func (j *Judge) mourn(v *vantage, dead []mesh.Rumour) {
	before := v.rumours.dead
	v.rumours.dead = nil
	for _, r := range dead {
		if j.byKey[r.Host] != nil {
			v.rumours.dead = append(v.rumours.dead, r.Host)
		}
	}
	if slices.Equal(before, v.rumours.dead) {
		return
	}
	for _, key := range append(before, v.rumours.dead...) {
		h := j.byKey[key]
		if h == nil {
			continue
		}
		was := h.mourned
		if h.mourned = j.deaths(h) >= deathWitnesses; h.mourned && !was && h.mayFall() {
			j.request(h, roundRequest{basis: hinted, since: j.now})
		}
	}
}

// deaths is how many regions besides the host's own hold it dead.
func (j *Judge) deaths(h *host) int {
	var regions []string
	for _, v := range j.order {
		if j.gossipCounts(v, h) && v.region != h.config.Region && slices.Contains(v.rumours.dead, h.key) && !slices.Contains(regions, v.region) {
			regions = append(regions, v.region)
		}
	}
	return len(regions)
}

// gossipCounts reports whether what the vantage's gossip holds of the host may have others look: not where it abstains, or is
// isolated in the family that gossip uses.
func (j *Judge) gossipCounts(v *vantage, h *host) bool {
	families := h.config.Families()
	return j.abstains(v) == "" && (len(families) == 0 || !v.isolated[slot(families[0])])
}

// mayFall reports whether one of the host's checks is not down yet.
func (h *host) mayFall() bool {
	return slices.ContainsFunc(h.checks, func(c *check) bool { return c.verdict != mesh.Down })
}

// alive is how many vantages have a silent one's proof from after it fell silent, and of late: its agent lives, and
// is cut from NATS.
func (j *Judge) alive(v *vantage) int {
	n := 0
	for _, o := range j.order {
		at := o.rumours.proofs[v.key].last()
		if o != v && o.counts() && !o.silent && at.After(v.last.Add(j.rule.Silence)) && j.now.Sub(at) <= aliveFor {
			n++
		}
	}
	return n
}

// cutOff reports whether the vantage's agent is cut from NATS.
func (j *Judge) cutOff(v *vantage) bool { return v.silent && j.alive(v) >= aliveWitnesses }

const cutOffWhy = "silent: its agent is cut from NATS, and alive in gossip"

// cutOffAdvisory returns the advisory for an agent that is silent on NATS and alive in gossip.
func (j *Judge) cutOffAdvisory(v *vantage) string {
	return fmt.Sprintf("its agent is cut from NATS since %s and alive: it proved that to %d others",
		j.clock(v.last, time.TimeOnly), j.alive(v))
}
