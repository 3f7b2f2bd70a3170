package main

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/edge"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// world is a mesh in virtual time: the real schedule, edges and judge, connected by a modelled network. All agents
// probe one check of one target. Time advances from event to event, so that days take seconds.
type world struct {
	*plan
	losses   *losses
	judge    *judge.Judge
	agents   []*agent
	now      time.Duration
	events   queue
	sequence uint64
	order    uint64

	faultAt        func(at time.Duration) fault // the target's fault at this time
	starting       *agent                       // the agent whose scheduled series is about to begin
	rounds         int
	asked          int           // series that rounds caused
	sent           int           // probes
	planned        int           // series that the schedule caused
	loseFirstAfter time.Duration // lose the first probe of the next scheduled series from this time on; zero: lose none
	onRound        func()
	onVerdict      func(v mesh.Verdict)
}

// fault is the true state of the target.
type fault int

const (
	works fault = iota
	refuses
	gone
)

// plan is the part of a world that all worlds of one model share.
type plan struct {
	catalog *catalog.Catalog
	roster  *mesh.Roster
	duties  map[string]schedule.Duty
	names   []string // of the vantages that probe the target, in the order of regions
	region  map[string]int
}

const target = "host-0-0"

func newPlan(loss float64) *plan {
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	c.Rule.LossFirst = loss // as if the edges had already measured the loss, which would take them hours
	p := &plan{catalog: c, roster: &mesh.Roster{}, duties: map[string]schedule.Duty{}, region: map[string]int{}}
	for i, r := range regions {
		c.Regions = append(c.Regions, catalog.Region{Name: r.name})
		for n := range r.hosts {
			h := catalog.Host{Name: fmt.Sprintf("host-%d-%d", i, n), Region: r.name, Addresses: []string{"192.0.2.1"}}
			if h.Name == target {
				h.Checks = []catalog.Check{{
					Kind: catalog.KindTCP, Name: "service", Critical: true, Interval: interval,
					Timeout: 3 * time.Second, Options: catalog.TCP{Port: 25},
				}}
			}
			c.Hosts = append(c.Hosts, h)
			p.roster.Vantages, p.region[h.Name] = append(p.roster.Vantages, h.Name), i
		}
	}
	catalog.Seal(c)
	for _, name := range p.roster.Vantages {
		for _, d := range schedule.Plan(c, name) {
			p.names, p.duties[name] = append(p.names, name), d
		}
	}
	return p
}

const interval = 10 * time.Second

// agent is one vantage.
type agent struct {
	name     string
	region   int
	rtt      time.Duration
	duty     schedule.Duty
	edge     *edge.Edge
	series   *edge.Series
	sequence uint64
}

// newWorld returns a world in which every agent has just reached the target and the verdict is up. shift moves its
// beginning within the schedule's interval.
func newWorld(p *plan, f *losses, shift time.Duration) *world {
	w := &world{
		plan: p, losses: f, judge: judge.New(judge.Start{Catalog: p.catalog, Roster: p.roster}),
		faultAt: func(time.Duration) fault { return works },
	}
	w.onRound, w.onVerdict = func() {}, func(mesh.Verdict) {}
	w.now = shift
	for _, name := range p.roster.Vantages {
		a := &agent{name: name, region: p.region[name], rtt: regions[p.region[name]].rtt, duty: p.duties[name]}
		if a.duty.Check != nil {
			a.edge = edge.New(p.catalog.Rule, *a.duty.Check)
			w.publish(a, []mesh.Observation{{
				Began: w.at().Add(-time.Second), Elapsed: a.rtt, RTT: a.rtt, Outcome: mesh.Reachable, Sent: 1,
			}})
			w.after(w.due(a)-w.now, func() { w.scheduled(a) })
			w.agents = append(w.agents, a)
		} else {
			w.publish(a, nil)
		}
		w.heartbeat(a)
	}
	w.tick()
	return w
}

func (w *world) at() time.Time { return epoch.Add(w.now) }

func (w *world) due(a *agent) time.Duration { return a.duty.Next(w.at()).Sub(epoch) }

// run advances the time until the given moment, or until done returns true.
func (w *world) run(until time.Duration, done func() bool) {
	for len(w.events) > 0 && w.events[0].at <= until && !done() {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	if !done() {
		w.now = until
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, event{w.now + max(d, 0), w.order, do})
}

// scheduled begins a series when the schedule says so, unless one is running, and schedules the next.
func (w *world) scheduled(a *agent) {
	w.planned++
	if a.series == nil {
		w.starting = a
		w.begin(a, 0)
		w.starting = nil
	}
	w.after(w.due(a)-w.now, func() { w.scheduled(a) })
}

func (w *world) begin(a *agent, round uint64) {
	series, step := a.edge.Begin(w.at(), round, 0)
	a.series = series
	w.apply(a, series, step)
}

// apply sends the probes and publishes the observations of a series' step, and schedules its next one.
func (w *world) apply(a *agent, series *edge.Series, s edge.Step) {
	for _, p := range s.Send {
		w.probe(a, series, p)
	}
	if len(s.Report) > 0 {
		observations := s.Report
		w.after(a.rtt/2+5*time.Millisecond, func() { w.publish(a, observations) })
	}
	if s.Done {
		a.series = nil
		return
	}
	if due := series.Due(); !due.IsZero() {
		w.after(due.Sub(w.at()), func() {
			if a.series == series {
				w.apply(a, series, series.Advance(w.at()))
			}
		})
	}
}

// probe sends one probe, which is lost or answered as the model and the target's fault determine.
func (w *world) probe(a *agent, series *edge.Series, p edge.Probe) {
	w.sent++
	is := w.faultAt(w.now)
	if w.loseFirstAfter > 0 && w.now >= w.loseFirstAfter && p.Number == 0 && w.starting == a {
		w.loseFirstAfter = 0
		return
	}
	if w.losses.lost(a.region, w.now) || is == gone {
		return
	}
	if w.losses.model.broken && a.name == w.names[0] {
		return
	}
	r := edge.Result{Outcome: mesh.Reachable, RTT: a.rtt, Link: a.rtt}
	if is == refuses {
		r = edge.Result{Outcome: mesh.Unreachable, Reason: "connection refused", Definite: true}
	}
	w.after(a.rtt, func() {
		if a.series == series {
			w.apply(a, series, series.Answer(w.at(), p.Number, r))
		}
	})
}

// publish delivers a batch of the agent's observations to the judge.
func (w *world) publish(a *agent, observations []mesh.Observation) {
	a.sequence++
	b := &mesh.Batch{
		Agent: a.name, Epoch: 1, Sequence: a.sequence, Revision: w.catalog.Revision, Began: w.at(),
		Observations: observations,
	}
	for i := range observations {
		observations[i].Host, observations[i].Check, observations[i].Family = target, "service", mesh.IPv4
	}
	w.deliver(judge.Input{Batch: b})
}

// heartbeat publishes an empty batch every two seconds, so that the judge does not take the agent for silent.
func (w *world) heartbeat(a *agent) {
	w.after(2*time.Second, func() {
		w.publish(a, nil)
		w.heartbeat(a)
	})
}

// tick delivers the leader's ticks: every 250 ms while the judge is busy, otherwise every 2 s.
func (w *world) tick() {
	const busy, idle = 250 * time.Millisecond, 2 * time.Second
	last := w.now
	var next func()
	next = func() {
		if w.judge.Busy() || w.now-last >= idle {
			last = w.now
			w.deliver(judge.Input{})
		}
		w.after(busy, next)
	}
	w.after(busy, next)
}

// deliver passes a message to the judge and sends the rounds that it requests to all agents.
func (w *world) deliver(in judge.Input) {
	w.sequence++
	in.Sequence, in.At = w.sequence, w.at()
	out := w.judge.Step(in)
	for _, t := range out.Transitions {
		w.onVerdict(t.Verdict)
	}
	for _, ask := range out.Asks {
		w.rounds++
		for _, a := range w.agents {
			w.after(a.rtt/2+5*time.Millisecond, func() { w.joinRound(a, ask.Round) })
		}
		w.onRound()
	}
}

// joinRound answers a round: with the series that is running, or with a new one.
func (w *world) joinRound(a *agent, round uint64) {
	if a.series != nil {
		a.series.Join(round)
		return
	}
	w.asked++
	w.begin(a, round)
}

// event is a function to call at a time. order keeps events of the same time in the order in which they were scheduled.
type event struct {
	at    time.Duration
	order uint64
	do    func()
}

// queue is a heap of the future events, the next one first.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
