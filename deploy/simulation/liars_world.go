package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// Times of a history with liars, from its beginning, when every agent reports every check as reachable.
const (
	liesBegin   = 10 * time.Second
	outageBegin = 30 * time.Second // of the target, if the history has an outage
	outageEnds  = outageBegin + 2*time.Minute
	worksEnds   = liesBegin + 90*time.Second // of a history without an outage

	worldStep   = 50 * time.Millisecond
	roundDelay  = 100 * time.Millisecond // from the judge to every agent
	answerAfter = 100 * time.Millisecond // from a probe to its answer
	missAfter   = 300 * time.Millisecond // from a lost probe to the report of the first miss
	lossAfter   = 1200 * time.Millisecond
	heartbeat   = 2 * time.Second
)

// liarMesh is the part that all histories of one mesh share: one host and one agent per region, two checks per host.
// The target of the lies is the first host.
type liarMesh struct {
	regions int
	catalog *catalog.Catalog
	roster  *mesh.Roster
	keys    []string
	probes  []scheduledProbe
}

// scheduledProbe is one probe of the real schedule.
type scheduledProbe struct {
	at                 time.Duration
	agent, host, check int
}

// Kinds of the two checks of every host.
var (
	pingAndTCP = []string{catalog.KindPing, catalog.KindTCP}
	pingOnly   = []string{catalog.KindPing, catalog.KindPing}
)

func newLiarMesh(regions int, kinds []string) *liarMesh {
	m := &liarMesh{regions: regions, catalog: &catalog.Catalog{Rule: catalog.DefaultRule()}, roster: &mesh.Roster{}}
	for i := range regions {
		name := fmt.Sprintf("r%02d", i+1)
		h := catalog.Host{Name: name + "-host", Region: name, Public: true, Addresses: []string{"192.0.2.1"}}
		for k, kind := range kinds {
			c := catalog.Check{
				Kind: kind, Name: fmt.Sprintf("%s-%d", kind, k+1), Options: catalog.Ping{}, Critical: true,
				Interval: interval, Timeout: 3 * time.Second,
			}
			if kind == catalog.KindTCP {
				c.Options = catalog.TCP{Port: 25}
			}
			h.Checks = append(h.Checks, c)
		}
		m.catalog.Regions = append(m.catalog.Regions, catalog.Region{Name: name})
		m.catalog.Hosts = append(m.catalog.Hosts, h)
		m.keys = append(m.keys, h.Key())
		m.roster.Vantages = append(m.roster.Vantages, h.Key())
	}
	catalog.Seal(m.catalog)
	m.schedule()
	return m
}

// schedule lists the probes of all agents in the order of their times.
func (m *liarMesh) schedule() {
	for a, key := range m.keys {
		for _, d := range schedule.Plan(m.catalog, key) {
			host := slices.Index(m.keys, d.Host.Key())
			check := slices.IndexFunc(d.Host.Checks, func(c catalog.Check) bool { return c.Name == d.Check.Name })
			for at := d.Next(epoch); at.Before(epoch.Add(outageEnds)); at = d.Next(at) {
				m.probes = append(m.probes, scheduledProbe{at.Sub(epoch), a, host, check})
			}
		}
	}
	slices.SortStableFunc(m.probes, func(a, b scheduledProbe) int { return int(a.at - b.at) })
}

// liarWorld is one history: the real schedule and judge, honest agents that report the truth, and liars that follow a
// strategy. It advances in steps of worldStep. Honest agents' edges are not simulated: only what they report matters.
type liarWorld struct {
	*liarMesh
	strategy *strategy
	gone     bool // the target is gone from outageBegin on
	random   *rand.Rand

	judge    *judge.Judge
	agents   []*meshAgent
	liars    int
	now      time.Duration
	sequence uint64
	next     int // index of the next one of probes
	underway []delayedRound
	rounds   int // rounds of the target since the lies began
	lastTick time.Duration

	seen outcomeOfLies
}

// delayedRound is a round on its way to the agents.
type delayedRound struct {
	at    time.Duration
	round uint64
	host  int
}

// meshAgent is one agent, honest or not.
type meshAgent struct {
	index    int
	liar     int // its number among the liars; -1 for an honest agent
	epoch    uint64
	sequence uint64
	lastSent time.Duration
	urgent   bool
	pending  []*pendingProbe
	ready    []mesh.Observation
	lies     int // lies reported so far
}

// pendingProbe is a probe whose outcome is not yet reported.
type pendingProbe struct {
	host, check int
	began       time.Duration
	round       uint64
	lost        bool
	missed      bool // its first miss is reported
}

// outcomeOfLies is what was published about the target.
type outcomeOfLies struct {
	down, partial bool        // about a healthy target, since the lies began
	status        mesh.Status // the latest
	worst         mesh.Status // since the outage began
}

// badness orders the statuses of a host by how bad they look to a visitor.
var badness = map[mesh.Status]int{
	mesh.Operational: 0, mesh.StatusUnknown: 1, mesh.DegradedPerformance: 2, mesh.PartialOutage: 3, mesh.MajorOutage: 4,
}

// newLiarWorld makes the agents listed in place liars, in this order.
func newLiarWorld(m *liarMesh, s *strategy, place []int, gone bool, seed uint64) *liarWorld {
	w := &liarWorld{
		liarMesh: m, strategy: s, gone: gone, random: newRandom(seed, 77), liars: len(place),
		judge: judge.New(judge.Start{Catalog: m.catalog, Roster: m.roster}),
	}
	for i := range m.keys {
		w.agents = append(w.agents, &meshAgent{index: i, liar: slices.Index(place, i), epoch: 1})
	}
	for _, a := range w.agents {
		for host := range m.keys {
			for check := range m.catalog.Hosts[host].Checks {
				if host != a.index {
					a.ready = append(a.ready, w.observation(host, check, -time.Second, answerAfter, mesh.Reachable, 0))
				}
			}
		}
		w.send(a)
	}
	return w
}

func (w *liarWorld) at() time.Time { return epoch.Add(w.now) }

func (w *liarWorld) lying(a *meshAgent) bool { return a.liar >= 0 && w.now >= liesBegin }

func (w *liarWorld) targetGone() bool { return w.gone && w.now >= outageBegin }

// run plays the history to its end, or until everything that can be reached is reached.
func (w *liarWorld) run() outcomeOfLies {
	ends := worksEnds
	if w.gone {
		ends = outageEnds
	}
	for w.now < ends && !w.settled() {
		w.now += worldStep
		for ; w.next < len(w.probes) && w.probes[w.next].at <= w.now; w.next++ {
			l := w.probes[w.next]
			w.begin(w.agents[l.agent], l.host, l.check, 0)
		}
		w.deliverRounds()
		for _, a := range w.agents {
			w.advance(a)
		}
		w.tick()
	}
	return w.seen
}

func (w *liarWorld) settled() bool {
	if w.gone {
		return w.seen.worst == mesh.MajorOutage
	}
	return w.seen.down && w.seen.partial
}

func (w *liarWorld) deliverRounds() {
	for len(w.underway) > 0 && w.underway[0].at <= w.now {
		ask := w.underway[0]
		w.underway = w.underway[1:]
		for _, a := range w.agents {
			if a.index == ask.host {
				continue
			}
			for check := range w.catalog.Hosts[ask.host].Checks {
				w.join(a, ask, check)
			}
		}
	}
}

// join answers a round with the pending probe of the check, or begins one.
func (w *liarWorld) join(a *meshAgent, ask delayedRound, check int) {
	for _, l := range a.pending {
		if l.host == ask.host && l.check == check {
			l.round = ask.round
			return
		}
	}
	w.begin(a, ask.host, check, ask.round)
}

func (w *liarWorld) begin(a *meshAgent, host, check int, round uint64) {
	if a.index == 0 && w.targetGone() && !w.lying(a) {
		return
	}
	for _, l := range a.pending {
		if l.host == host && l.check == check {
			return
		}
	}
	lost := w.unanswered(a, host)
	a.pending = append(a.pending, &pendingProbe{host: host, check: check, began: w.now, round: round, lost: lost})
}

// unanswered reports whether the host does not answer the agent's probes, because it is gone or belongs to a liar that
// refuses this agent.
func (w *liarWorld) unanswered(a *meshAgent, host int) bool {
	if host == 0 && w.targetGone() {
		return true
	}
	return w.lying(w.agents[host]) && !w.lying(a) && w.strategy.refuses(w.moment(w.agents[host]), a.index)
}

// advance reports the agent's finished probes, and publishes its batch when one is due.
func (w *liarWorld) advance(a *meshAgent) {
	if w.lying(a) {
		w.lie(a)
		return
	}
	if a.index == 0 && w.targetGone() {
		return
	}
	a.pending = slices.DeleteFunc(a.pending, func(l *pendingProbe) bool { return w.report(a, l) })
	if a.urgent || w.now-a.lastSent >= heartbeat {
		w.send(a)
	}
}

// report reports the truth about a probe, and returns whether the probe is finished.
func (w *liarWorld) report(a *meshAgent, l *pendingProbe) bool {
	age := w.now - l.began
	switch {
	case !l.lost && age >= answerAfter:
		a.ready = append(a.ready, w.observation(l.host, l.check, l.began, answerAfter, mesh.Reachable, l.round))
		a.urgent = a.urgent || l.round > 0
		return true
	case l.lost && age >= lossAfter:
		a.ready = append(a.ready, w.observation(l.host, l.check, l.began, lossAfter, mesh.Unreachable, l.round))
		a.urgent = true
		return true
	case l.lost && age >= missAfter && !l.missed:
		miss := w.observation(l.host, l.check, l.began, missAfter, mesh.Unreachable, l.round)
		miss.Stage = mesh.Missed
		a.ready = append(a.ready, miss)
		a.urgent, l.missed = true, true
	}
	return false
}

func (w *liarWorld) observation(
	host, check int, began, took time.Duration, outcome mesh.Outcome, round uint64,
) mesh.Observation {
	o := mesh.Observation{
		Host: w.keys[host], Check: w.catalog.Hosts[host].Checks[check].Name, Family: mesh.IPv4,
		Began: epoch.Add(began), Elapsed: took,
		Outcome: outcome, Round: round, Sent: 1,
	}
	switch {
	case outcome.Good():
		o.RTT = took
	case outcome == mesh.Unreachable:
		o.Lost, o.Reason = 1, "timeout"
	default:
		o.Reason = "no local route"
	}
	return o
}

// batch returns the agent's next batch, with the observations that are ready.
func (w *liarWorld) batch(a *meshAgent) *mesh.Batch {
	a.sequence++
	b := &mesh.Batch{
		Agent: w.keys[a.index], Epoch: a.epoch, Sequence: a.sequence, Revision: w.catalog.Revision, Began: w.at(),
		Connected: epoch.Add(-time.Minute), Observations: a.ready,
	}
	a.ready, a.urgent, a.lastSent = nil, false, w.now
	return b
}

// send publishes an honest agent's batch. Ten seconds after the target is gone, its gossip declares it dead, unless
// forged acknowledgements keep the target alive in its view.
func (w *liarWorld) send(a *meshAgent) {
	b := w.batch(a)
	if a.index != 0 && w.liars > 0 && w.strategy.forgesAcks && w.now >= liesBegin {
		b.Gossip.Acks = []mesh.GossipEntry{{Host: w.keys[0], At: w.at()}}
	} else if a.index != 0 && w.gone && w.now >= outageBegin+10*time.Second {
		b.Gossip.Dead = []mesh.GossipEntry{{Host: w.keys[0], At: epoch.Add(outageBegin)}}
	}
	w.deliver(judge.Input{Batch: b})
}

// tick delivers the leader's ticks: every 250 ms while the judge is busy, otherwise every 2 s.
func (w *liarWorld) tick() {
	wait := 2 * time.Second
	if w.judge.Busy() {
		wait = 250 * time.Millisecond
	}
	if w.now-w.lastTick >= wait {
		w.lastTick = w.now
		w.deliver(judge.Input{})
	}
}

// deliver passes a message to the judge, records what is published about the target, and schedules the rounds that the
// judge requests.
func (w *liarWorld) deliver(in judge.Input) {
	w.sequence++
	in.Sequence, in.At = w.sequence, w.at()
	out := w.judge.Step(in)
	for i := range out.Transitions {
		w.record(&out.Transitions[i])
	}
	if w.targetGone() && badness[w.seen.status] > badness[w.seen.worst] {
		w.seen.worst = w.seen.status
	}
	for _, ask := range out.Asks {
		host := slices.Index(w.keys, ask.Host)
		if host == 0 && w.now >= liesBegin {
			w.rounds++
		}
		w.underway = append(w.underway, delayedRound{w.now + roundDelay, ask.Round, host})
	}
}

func (w *liarWorld) record(t *mesh.Transition) {
	if mesh.Key(t.Host) != w.keys[0] {
		return
	}
	w.seen.status = t.To
	if w.gone || w.now < liesBegin {
		return
	}
	w.seen.down = w.seen.down || t.Verdict == mesh.Down
	w.seen.partial = w.seen.partial || t.Verdict == mesh.Down || t.Verdict == mesh.Partial
}
