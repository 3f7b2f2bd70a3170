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

// Times of a history with liars, counted from its beginning. At the beginning every agent reports every check as reachable.
const (
	liesBegin   = 10 * time.Second
	outageBegin = 30 * time.Second // of the target, where the history has an outage
	outageEnds  = outageBegin + 2*time.Minute
	worksEnds   = liesBegin + 90*time.Second // of a history without an outage

	worldStep  = 50 * time.Millisecond
	askTravels = 100 * time.Millisecond // from the judge to every agent
	answerTook = 100 * time.Millisecond // from a probe to its answer
	missTook   = 300 * time.Millisecond // from a lost probe to the report of the first miss
	lossTook   = 1200 * time.Millisecond
	heartbeat  = 2 * time.Second
)

// liarMesh is what all histories of one mesh share: one host and one agent per region, two checks per host. The target
// of the lies is the first host.
type liarMesh struct {
	regions int
	catalog *catalog.Catalog
	roster  *mesh.Roster
	keys    []string
	looks   []scheduledLook
}

// scheduledLook is one look of the real schedule.
type scheduledLook struct {
	at                 time.Duration
	agent, host, check int
}

// kinds of the two checks of every host.
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

// schedule lists the looks of all agents in the order of their moments.
func (m *liarMesh) schedule() {
	for a, key := range m.keys {
		for _, d := range schedule.Plan(m.catalog, key) {
			host := slices.Index(m.keys, d.Host.Key())
			check := slices.IndexFunc(d.Host.Checks, func(c catalog.Check) bool { return c.Name == d.Check.Name })
			for at := d.Next(epoch); at.Before(epoch.Add(outageEnds)); at = d.Next(at) {
				m.looks = append(m.looks, scheduledLook{at.Sub(epoch), a, host, check})
			}
		}
	}
	slices.SortStableFunc(m.looks, func(a, b scheduledLook) int { return int(a.at - b.at) })
}

// liarWorld is one history: the real schedule and the real judge, honest agents that report what is true, and liars that follow
// a strategy.
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
	next     int // the next of looks
	asks     []delayedAsk
	rounds   int // of the target, since the lies began
	lastTick time.Duration

	seen outcomeOfLies
}

// delayedAsk is a round on its way to the agents.
type delayedAsk struct {
	at    time.Duration
	round uint64
	host  int
}

// meshAgent is one agent, honest or not.
type meshAgent struct {
	index    int
	liar     int // its place among the liars; -1 for an honest agent
	epoch    uint64
	sequence uint64
	lastSent time.Duration
	urgent   bool
	flying   []*flyingLook
	ready    []mesh.Observation
	looked   int // lies reported so far
}

// flyingLook is a look whose outcome is still to be reported.
type flyingLook struct {
	host, check int
	began       time.Duration
	round       uint64
	lost        bool
	missed      bool // its first miss is reported
}

// outcomeOfLies is what was published of the target.
type outcomeOfLies struct {
	down, partial bool        // of a healthy target, since the lies began
	status        mesh.Status // the latest
	worst         mesh.Status // since the outage began
}

// badness orders the statuses of a host by how bad a visitor takes them to be.
var badness = map[mesh.Status]int{
	mesh.Operational: 0, mesh.StatusUnknown: 1, mesh.DegradedPerformance: 2, mesh.PartialOutage: 3, mesh.MajorOutage: 4,
}

// newLiarWorld places the liars on the agents named by place, in this order.
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
					a.ready = append(a.ready, w.observation(host, check, -time.Second, answerTook, mesh.Reachable, 0))
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

// run plays the history to its end, or until what is published leaves nothing to find out.
func (w *liarWorld) run() outcomeOfLies {
	ends := worksEnds
	if w.gone {
		ends = outageEnds
	}
	for w.now < ends && !w.settled() {
		w.now += worldStep
		for ; w.next < len(w.looks) && w.looks[w.next].at <= w.now; w.next++ {
			l := w.looks[w.next]
			w.begin(w.agents[l.agent], l.host, l.check, 0)
		}
		w.deliverAsks()
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

func (w *liarWorld) deliverAsks() {
	for len(w.asks) > 0 && w.asks[0].at <= w.now {
		ask := w.asks[0]
		w.asks = w.asks[1:]
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

// join answers a round with the look in flight, or begins one.
func (w *liarWorld) join(a *meshAgent, ask delayedAsk, check int) {
	for _, l := range a.flying {
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
	for _, l := range a.flying {
		if l.host == host && l.check == check {
			return
		}
	}
	a.flying = append(a.flying, &flyingLook{host: host, check: check, began: w.now, round: round, lost: w.unanswered(a, host)})
}

// unanswered reports whether the host does not answer the agent's probes: it is gone, or a liar that refuses this agent.
func (w *liarWorld) unanswered(a *meshAgent, host int) bool {
	if host == 0 && w.targetGone() {
		return true
	}
	return w.lying(w.agents[host]) && !w.lying(a) && w.strategy.refuses(w.moment(w.agents[host]), a.index)
}

// advance reports what the agent's looks have found by now, and sends it when it is due.
func (w *liarWorld) advance(a *meshAgent) {
	if w.lying(a) {
		w.lie(a)
		return
	}
	if a.index == 0 && w.targetGone() {
		return
	}
	a.flying = slices.DeleteFunc(a.flying, func(l *flyingLook) bool { return w.report(a, l) })
	if a.urgent || w.now-a.lastSent >= heartbeat {
		w.send(a)
	}
}

// report reports whether the look is over.
func (w *liarWorld) report(a *meshAgent, l *flyingLook) bool {
	age := w.now - l.began
	switch {
	case !l.lost && age >= answerTook:
		a.ready = append(a.ready, w.observation(l.host, l.check, l.began, answerTook, mesh.Reachable, l.round))
		a.urgent = a.urgent || l.round > 0
		return true
	case l.lost && age >= lossTook:
		a.ready = append(a.ready, w.observation(l.host, l.check, l.began, lossTook, mesh.Unreachable, l.round))
		a.urgent = true
		return true
	case l.lost && age >= missTook && !l.missed:
		miss := w.observation(l.host, l.check, l.began, missTook, mesh.Unreachable, l.round)
		miss.Stage = mesh.Missed
		a.ready = append(a.ready, miss)
		a.urgent, l.missed = true, true
	}
	return false
}

func (w *liarWorld) observation(host, check int, began, took time.Duration, outcome mesh.Outcome, round uint64) mesh.Observation {
	o := mesh.Observation{
		Host: w.keys[host], Check: w.catalog.Hosts[host].Checks[check].Name, Family: mesh.IPv4, Began: epoch.Add(began), Elapsed: took,
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

// batch is the agent's next batch with what is ready.
func (w *liarWorld) batch(a *meshAgent) *mesh.Batch {
	a.sequence++
	b := &mesh.Batch{
		Agent: w.keys[a.index], Epoch: a.epoch, Sequence: a.sequence, Revision: w.catalog.Revision, Began: w.at(),
		Connected: epoch.Add(-time.Minute), Observations: a.ready,
	}
	a.ready, a.urgent, a.lastSent = nil, false, w.now
	return b
}

// send publishes an honest agent's batch. A host that is gone is dead in its gossip after ten seconds; acknowledgements that
// liars forge look to it like the target's own.
func (w *liarWorld) send(a *meshAgent) {
	b := w.batch(a)
	if a.index != 0 && w.liars > 0 && w.strategy.forgesAcks && w.now >= liesBegin {
		b.Gossip.Acks = []mesh.GossipEntry{{Host: w.keys[0], At: w.at()}}
	} else if a.index != 0 && w.gone && w.now >= outageBegin+10*time.Second {
		b.Gossip.Dead = []mesh.GossipEntry{{Host: w.keys[0], At: epoch.Add(outageBegin)}}
	}
	w.give(judge.Input{Batch: b})
}

// tick is the leader's: every 250 ms while the judge is busy, else every 2 s.
func (w *liarWorld) tick() {
	wait := 2 * time.Second
	if w.judge.Busy() {
		wait = 250 * time.Millisecond
	}
	if w.now-w.lastTick >= wait {
		w.lastTick = w.now
		w.give(judge.Input{})
	}
}

// give passes a message to the judge, records what is published of the target, and schedules the rounds that the judge
// requests.
func (w *liarWorld) give(in judge.Input) {
	w.sequence++
	in.Sequence, in.At = w.sequence, w.at()
	out := w.judge.Step(in)
	for i := range out.Transitions {
		w.note(&out.Transitions[i])
	}
	if w.targetGone() && badness[w.seen.status] > badness[w.seen.worst] {
		w.seen.worst = w.seen.status
	}
	for _, ask := range out.Asks {
		host := slices.Index(w.keys, ask.Host)
		if host == 0 && w.now >= liesBegin {
			w.rounds++
		}
		w.asks = append(w.asks, delayedAsk{w.now + askTravels, ask.Round, host})
	}
}

func (w *liarWorld) note(t *mesh.Transition) {
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
