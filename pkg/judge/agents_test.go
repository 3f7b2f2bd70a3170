package judge_test

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// copyAgent starts a second agent with the identity of the first, as a copied server does.
func copyAgent(w *world, vantage string) {
	w.eachAgent([]string{vantage}, func(a *agent) {
		w.agents = append(w.agents, &agent{key: a.key, place: a.place + "-copy", region: a.region,
			epoch: a.epoch + 1<<32})
	})
}

// restartAgents restarts agents. What they had not sent is lost.
func restartAgents(w *world, where []string) {
	w.eachAgent(where, func(a *agent) { a.epoch, a.sequence, a.ready, a.kept = a.epoch+1, 0, nil, nil })
}

// cutRegions separates these regions from the others and from the coordinator.
func cutRegions(w *world, regions []string) {
	w.eachPath("*/*", nil, func(p path) {
		region := func(key string) bool { return slices.Contains(regions, w.catalog.Host(key).Region) }
		if region(p.vantage) != region(p.host) {
			w.broken[p] = "timeout"
		}
	})
	w.eachAgent(regions, func(a *agent) { a.silent = true })
}

// flapPaths breaks and mends paths by turns.
func flapPaths(w *world, l line) {
	period, _ := time.ParseDuration(l.args[1])
	broken := (w.elapsed-l.from)/period%2 == 0 && w.elapsed < l.to
	reason, where := "connection refused", l.args[2:]
	if len(where) > 0 && strings.HasPrefix(where[0], `"`) {
		reason, where = strings.Trim(where[0], `"`), where[1:]
	}
	w.eachPath(l.args[0], cutFrom(where), func(p path) {
		delete(w.broken, p)
		if broken {
			w.broken[p] = reason
		}
	})
}

// step advances the world by 50 ms.
func (w *world) step() {
	for _, a := range w.agents {
		for _, d := range w.plan(a) {
			if d.next <= w.elapsed {
				w.probe(a, d.Host, d.Check, d.Family, 0)
				d.next = d.Next(epoch.Add(w.elapsed)).Sub(epoch)
			}
		}
		w.sendDue(a)
	}
	if wait := w.tick(); !w.stopped && w.elapsed-w.lastTick >= wait {
		w.lastTick = w.elapsed
		w.give(judge.Input{})
	}
}

// duty is a scheduled probe and when it is due.
type duty struct {
	schedule.Duty
	next time.Duration
}

func (w *world) plan(a *agent) []*duty {
	key := w.catalog.Revision + a.place
	if _, ok := w.plans[key]; !ok {
		for _, d := range schedule.Plan(w.catalog, a.key) {
			w.plans[key] = append(w.plans[key], &duty{d, d.Next(epoch.Add(w.elapsed - step)).Sub(epoch)})
		}
	}
	return w.plans[key]
}

// snapshot returns the judge's snapshot, cached until the next input.
func (w *world) snapshot() *mesh.Snapshot {
	if w.seen == nil || w.seenAt != w.sequence {
		w.seen, w.seenAt = w.judge.Snapshot(), w.sequence
	}
	return w.seen
}

func (w *world) tick() time.Duration {
	if w.judge.Busy() {
		return 250 * time.Millisecond
	}
	return 2 * time.Second
}

// probe is rule 1 as the judge sees it: a definite answer is settled after a re-check, a loss after its retries.
func (w *world) probe(a *agent, h *catalog.Host, c *catalog.Check, family mesh.Family, round uint64) {
	if a.blind {
		return
	}
	o := mesh.Observation{Host: h.Key(), Check: c.Name, Family: family, Began: epoch.Add(w.elapsed), Round: round,
		Sent: 1}
	p := path{a.place, h.Key(), c.Name, family}
	reason, broken := w.broken[p]
	if a.old && h.Named() {
		if family == mesh.IPv4 { // one probe for both
			return
		}
		o.Family = mesh.AnyFamily
		if reason == "no route" || reason == "no address" {
			reason, broken = w.broken[path{a.place, h.Key(), c.Name, mesh.IPv4}]
		}
	}
	if second, ok := w.alternating[p]; ok {
		w.looks[p]++
		reason, broken = second, w.looks[p]%2 == 0
	}
	switch {
	case !broken:
		o.Outcome, o.RTT, o.Elapsed = mesh.Reachable, 80*time.Millisecond, 80*time.Millisecond
		o.Expiry = w.expiry[a.key]
		a.report(w.elapsed+100*time.Millisecond, o)
		return
	case strings.HasPrefix(reason, mesh.ReasonTemporary), strings.HasPrefix(reason, mesh.ReasonOverObjective):
		o.Outcome, o.Reason, o.RTT, o.Elapsed = mesh.Slow, reason, 80*time.Millisecond, 80*time.Millisecond
		a.report(w.elapsed+100*time.Millisecond, o)
		return
	case ours(reason, family) != "":
		o.Outcome, o.Reason, o.Elapsed = mesh.Inconclusive, ours(reason, family), time.Millisecond
		a.report(w.elapsed+step, o)
		return
	}
	o.Outcome, o.Reason = mesh.Unreachable, reason
	miss, settled := 100*time.Millisecond, 200*time.Millisecond
	if reason == "timeout" {
		miss, settled = 300*time.Millisecond, 1200*time.Millisecond
	}
	missed := o
	missed.Stage, missed.Elapsed, o.Elapsed = mesh.Missed, miss, settled
	a.report(w.elapsed+miss, missed)
	if reason == "one probe lost" {
		o.Outcome = mesh.Slow
	}
	a.report(w.elapsed+settled, o)
}

// ours returns the reason by which an agent reports a failure that is not the host's, or "".
func ours(reason string, family mesh.Family) string {
	switch reason {
	case "inconclusive":
		return "not permitted: in this story"
	case "no route":
		return mesh.ReasonNoRoute
	case "no address":
		return mesh.ReasonNoAddress(family)
	case "silent resolver":
		return "the resolver is silent"
	}
	return ""
}

func (a *agent) report(at time.Duration, o mesh.Observation) {
	a.ready = append(a.ready, pendingReport{at, o})
}

// sendDue sends what is ready: at once if there is something, else every 2 s.
func (w *world) sendDue(a *agent) {
	var later []pendingReport
	for _, s := range a.ready {
		if s.at <= w.elapsed {
			a.kept = append(a.kept, s.o)
		} else {
			later = append(later, s)
		}
	}
	a.ready = later
	if w.stopped || a.silent || w.elapsed < w.resumed+a.reconnects {
		a.connected = w.elapsed
		return
	}
	if len(a.kept) == 0 && w.elapsed-a.last < 2*time.Second {
		return
	}
	a.last, a.sequence = w.elapsed, a.sequence+1
	b := &mesh.Batch{
		Agent: a.key, Epoch: a.epoch, Sequence: a.sequence, Revision: w.catalog.Revision,
		Began: epoch.Add(w.elapsed), Connected: epoch.Add(a.connected),
		Lag: a.lag, Clock: a.clock, AnchorsFail: a.anchorsFail, Observations: a.kept, Gossip: gossipReport(w, a),
	}
	a.kept = nil
	w.give(judge.Input{Batch: b})
}
