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

// world is a mesh in virtual time: the real schedule, the real edges and the real judge, with a modelled network between them.
type world struct {
	*plan
	fates    *fates
	judge    *judge.Judge
	agents   []*agent
	now      time.Duration
	events   queue
	sequence uint64
	order    uint64

	broken  func(at time.Duration) fault // what is true of the target
	begun   *agent                       // whose scheduled look begins
	rounds  int
	asked   int           // looks that rounds caused
	sent    int           // probes
	planned int           // looks that the schedule caused
	miss    time.Duration // from when on the next first probe of a look by schedule is lost; zero: none is
	onAsk   func()
	onTurn  func(v mesh.Verdict)
}

// fault is what is true of the target.
type fault int

const (
	works fault = iota
	refuses
	gone
)

// plan is what all worlds share.
type plan struct {
	catalog *catalog.Catalog
	roster  *mesh.Roster
	duties  map[string]schedule.Duty
	names   []string // of the vantages, in the order of regions
	region  map[string]int
}

const target = "host-0-0"

func newPlan(loss float64) *plan {
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	c.Rule.LossFirst = loss // edges have learned what there is to learn
	p := &plan{catalog: c, roster: &mesh.Roster{}, duties: map[string]schedule.Duty{}, region: map[string]int{}}
	for i, r := range regions {
		c.Regions = append(c.Regions, catalog.Region{Name: r.name})
		for n := range r.hosts {
			h := catalog.Host{Name: fmt.Sprintf("host-%d-%d", i, n), Region: r.name, Addresses: []string{"192.0.2.1"}}
			if h.Name == target {
				h.Checks = []catalog.Check{{Kind: catalog.KindTCP, Name: "service", Critical: true, Interval: interval, Timeout: 3 * time.Second, Options: catalog.TCP{Port: 25}}}
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

// agent is one vantage at work.
type agent struct {
	name     string
	region   int
	rtt      time.Duration
	duty     schedule.Duty
	edge     *edge.Edge
	look     *edge.Series
	sequence uint64
}

// newWorld is a mesh in which everybody has just seen the target well, and the judge says so.
func newWorld(p *plan, f *fates, shift time.Duration) *world {
	w := &world{plan: p, fates: f, judge: judge.New(judge.Start{Catalog: p.catalog, Roster: p.roster}), broken: func(time.Duration) fault { return works }}
	w.onAsk, w.onTurn = func() {}, func(mesh.Verdict) {}
	w.now = shift // into the schedule
	for _, name := range p.roster.Vantages {
		a := &agent{name: name, region: p.region[name], rtt: regions[p.region[name]].rtt, duty: p.duties[name]}
		if a.duty.Check != nil {
			a.edge = edge.New(p.catalog.Rule, *a.duty.Check)
			w.say(a, []mesh.Observation{{Began: w.at().Add(-time.Second), Elapsed: a.rtt, RTT: a.rtt, Outcome: mesh.Reachable, Sent: 1}})
			w.after(w.due(a)-w.now, func() { w.scheduled(a) })
			w.agents = append(w.agents, a)
		} else {
			w.say(a, nil)
		}
		w.beat(a)
	}
	w.tick()
	return w
}

func (w *world) at() time.Time { return epoch.Add(w.now) }

func (w *world) due(a *agent) time.Duration { return a.duty.Next(w.at()).Sub(epoch) }

// run lets the time go on until the moment, or until done says so.
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

func (w *world) scheduled(a *agent) {
	w.planned++
	if a.look == nil {
		w.begun = a
		w.begin(a, 0)
		w.begun = nil
	}
	w.after(w.due(a)-w.now, func() { w.scheduled(a) })
}

func (w *world) begin(a *agent, round uint64) {
	look, step := a.edge.Begin(w.at(), round, 0)
	a.look = look
	w.take(a, look, step)
}

// take does what a step of a look says.
func (w *world) take(a *agent, look *edge.Series, s edge.Step) {
	for _, p := range s.Send {
		w.probe(a, look, p)
	}
	if len(s.Report) > 0 {
		said := s.Report
		w.after(a.rtt/2+5*time.Millisecond, func() { w.say(a, said) })
	}
	if s.Done {
		a.look = nil
		return
	}
	if due := look.Due(); !due.IsZero() {
		w.after(due.Sub(w.at()), func() {
			if a.look == look {
				w.take(a, look, look.Advance(w.at()))
			}
		})
	}
}

// probe has one probe meet its fate.
func (w *world) probe(a *agent, look *edge.Series, p edge.Probe) {
	w.sent++
	is := w.broken(w.now)
	if w.miss > 0 && w.now >= w.miss && p.Number == 0 && w.begun == a {
		w.miss = 0
		return
	}
	if w.fates.lost(a.region, w.now) || is == gone {
		return
	}
	if w.fates.model.broken && a.name == w.names[0] {
		return
	}
	r := edge.Result{Outcome: mesh.Reachable, RTT: a.rtt, Link: a.rtt}
	if is == refuses {
		r = edge.Result{Outcome: mesh.Unreachable, Reason: "connection refused", Definite: true}
	}
	w.after(a.rtt, func() {
		if a.look == look {
			w.take(a, look, look.Answer(w.at(), p.Number, r))
		}
	})
}

// say brings what an agent says to the judge.
func (w *world) say(a *agent, said []mesh.Observation) {
	a.sequence++
	b := &mesh.Batch{Agent: a.name, Epoch: 1, Sequence: a.sequence, Revision: w.catalog.Revision, Began: w.at(), Observations: said}
	for i := range said {
		said[i].Host, said[i].Check, said[i].Family = target, "service", mesh.IPv4
	}
	w.give(judge.Input{Batch: b})
}

func (w *world) beat(a *agent) {
	w.after(2*time.Second, func() {
		w.say(a, nil)
		w.beat(a)
	})
}

// tick is the leader's: every 250 ms while the judge is busy, else every 2 s.
func (w *world) tick() {
	const busy, idle = 250 * time.Millisecond, 2 * time.Second
	last := w.now
	var next func()
	next = func() {
		if w.judge.Busy() || w.now-last >= idle {
			last = w.now
			w.give(judge.Input{})
		}
		w.after(busy, next)
	}
	w.after(busy, next)
}

// give puts a message on the stream and does what the judge asks.
func (w *world) give(in judge.Input) {
	w.sequence++
	in.Sequence, in.At = w.sequence, w.at()
	out := w.judge.Step(in)
	for _, t := range out.Transitions {
		w.onTurn(t.Verdict)
	}
	for _, ask := range out.Asks {
		w.rounds++
		for _, a := range w.agents {
			w.after(a.rtt/2+5*time.Millisecond, func() { w.lookNow(a, ask.Round) })
		}
		w.onAsk()
	}
}

func (w *world) lookNow(a *agent, round uint64) {
	if a.look != nil {
		a.look.Join(round)
		return
	}
	w.asked++
	w.begin(a, round)
}

// event is something that will happen.
type event struct {
	at    time.Duration
	order uint64
	do    func()
}

// queue is the events to come, the next one first.
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
