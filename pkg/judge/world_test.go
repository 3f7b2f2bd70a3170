package judge_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/schedule"
)

const step = 50 * time.Millisecond

var epoch = time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)

// world is a mesh of modelled agents around a real judge: each agent looks by its schedule and when asked, and finds what
// the story says.
type world struct {
	judge   *judge.Judge
	catalog *catalog.Catalog
	agents  []*agent
	broken  map[path]string // to the reason

	alternating map[path]string // paths that fail at every second look, to the reason
	looks       map[path]int    // looks at those

	checks     []string
	addresses  []string
	unfamilied bool           // the catalog is of the version before, and names no families
	asked      map[string]int // rounds, by host's key
	extra      []extraProbe   // what rounds asked for

	gossip mill

	elapsed   time.Duration
	stepped   time.Duration // of the stream's clock
	clock     meshtime.Clock
	leader    meshtime.Leader
	waiting   []judge.Input // to be dated
	sequence  uint64
	stopped   bool
	plans     map[string][]*duty // by catalog and agent
	seen      *mesh.Snapshot
	seenAt    uint64
	resumed   time.Duration // when the stream last went on after a stop
	interval  time.Duration // of every check; 10 s where it is zero
	lastTick  time.Duration
	published []mesh.Transition
	inputs    []judge.Input
}

// path is one edge of the world.
type path struct {
	vantage, host, check string
	family               mesh.Family
}

type agent struct {
	key, region string
	place       string // where it looks from: its key, and of a copy that with "-copy"
	epoch       uint64
	silent      bool
	blind, deaf bool
	old         bool // of the version before: it looks at a name through whatever family it has, IPv6 first
	lag, clock  time.Duration
	anchorsFail bool
	sequence    uint64
	last        time.Duration // its last batch
	connected   time.Duration
	reconnects  time.Duration // how long after a stop of the stream it is connected again
	ready       []said
	kept        []mesh.Observation // what it saw while the stream stood
}

// said is an observation that the agent will have made at a moment to come.
type said struct {
	at time.Duration
	o  mesh.Observation
}

func newWorld() *world {
	return &world{
		catalog: &catalog.Catalog{Rule: catalog.DefaultRule()}, broken: map[path]string{}, alternating: map[path]string{}, looks: map[path]int{}, plans: map[string][]*duty{},
		checks: []string{"smtp", "imap"}, addresses: []string{"192.0.2.1"}, asked: map[string]int{}, gossip: newMill(),
	}
}

// lay makes the regions and their hosts: the first host of region "ams" is AMS1, with the checks smtp and imap.
func (w *world) lay(regions []string) {
	for _, r := range regions {
		name, count, _ := strings.Cut(r, ":")
		n, _ := strconv.Atoi(count)
		w.catalog.Regions = append(w.catalog.Regions, catalog.Region{Name: name, City: city(name)})
		for i := range max(n, 1) {
			h := catalog.Host{Name: fmt.Sprintf("%s%d", strings.ToUpper(name), i+1), Region: name, Public: true}
			w.catalog.Hosts = append(w.catalog.Hosts, h)
			w.agents = append(w.agents, &agent{key: h.Key(), place: h.Key(), region: name, epoch: 1})
		}
	}
}

// city is how people call a region.
func city(region string) string {
	if known := map[string]string{
		"ams": "Amsterdam", "lon": "London", "van": "Vancouver", "nyc": "New York", "tor": "Toronto", "lus": "Lusaka", "syd": "Sydney", "sea": "Seattle",
	}[region]; known != "" {
		return known
	}
	return strings.ToUpper(region[:1]) + region[1:]
}

func newCheck(name string) catalog.Check {
	c := catalog.Check{Kind: catalog.KindTCP, Name: name, Critical: true, Interval: 10 * time.Second, Timeout: 3 * time.Second, Port: 25}
	if name == "ping" {
		c.Kind, c.Port = catalog.KindPing, 0
	}
	return c
}

func (w *world) setRule(t *testing.T, key, value string) {
	if err := json.Unmarshal(fmt.Appendf(nil, "{%q: %s}", key, value), &w.catalog.Rule); err != nil {
		t.Fatal(err)
	}
}

func (w *world) roster() *mesh.Roster {
	r := &mesh.Roster{}
	for _, a := range w.agents {
		r.Vantages = append(r.Vantages, a.key)
	}
	slices.Sort(r.Vantages)
	return r
}

func (w *world) begin() {
	for i := range w.catalog.Hosts {
		h := &w.catalog.Hosts[i]
		h.Addresses = w.addresses
		for _, check := range w.checks {
			c := newCheck(check)
			if w.interval > 0 {
				c.Interval, c.Timeout = w.interval, min(w.interval/2, c.Timeout)
			}
			h.Checks = append(h.Checks, c)
		}
	}
	if !w.unfamilied {
		catalog.NameFamilies(w.catalog)
	}
	catalog.Seal(w.catalog)
	w.judge = judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster()})
}

// restart hands what was published to a new judge, which replays nothing: the hardest case.
func (w *world) restart() {
	w.judge, w.seen = judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster(), Standings: w.standings()}), nil
}

// standings are what a ledger would hold.
func (w *world) standings() []judge.Standing {
	latest := map[string]judge.Standing{}
	for _, t := range w.published {
		if t.Check != "" {
			latest[t.Host+"/"+t.Check] = judge.Standing{
				Host: mesh.Key(t.Host), Check: t.Check, Verdict: t.Verdict, Since: t.Began, Rule: t.Rule, Sentence: t.Sentence, Cause: t.Cause, Tally: t.Tally,
			}
		}
	}
	var out []judge.Standing
	for _, s := range latest {
		out = append(out, s)
	}
	return out
}

// add puts a new check in force, or one that asks something else.
func (w *world) add(what string) {
	host, check, _ := strings.Cut(what, "/")
	next := *w.catalog
	next.Hosts = slices.Clone(w.catalog.Hosts)
	h := next.Host(mesh.Key(host))
	asked := newCheck(check)
	asked.Port++
	h.Checks = append(slices.DeleteFunc(slices.Clone(w.catalog.Host(mesh.Key(host)).Checks), func(c catalog.Check) bool { return c.Name == check }), asked)
	catalog.Seal(&next)
	for _, a := range w.agents { // an agent ends its looks at what is asked no more
		a.ready = slices.DeleteFunc(a.ready, func(s said) bool { return s.o.Host == mesh.Key(host) && s.o.Check == check })
	}
	w.catalog = &next
	w.give(judge.Input{Catalog: &next})
}

// each names the paths to HOST/CHECK (either may be *) from the regions, vantages and families given, or from all.
func (w *world) each(what string, from []string, do func(path)) {
	host, check, _ := strings.Cut(what, "/")
	for _, h := range w.catalog.Hosts {
		for _, c := range h.Checks {
			for _, a := range w.agents {
				for _, f := range h.FamiliesOf(&c) {
					if (host == "*" || host == h.Name) && (check == "*" || check == c.Name) && a.is(from) && isFamily(f, from) {
						do(path{a.place, h.Key(), c.Name, f})
					}
				}
			}
		}
	}
}

// is reports whether one of the words names the agent or its region, or none names any.
func (a *agent) is(words []string) bool {
	named := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "ipv4" || w == "ipv6" })
	return len(named) == 0 || slices.Contains(named, a.region) || slices.Contains(named, a.place)
}

func isFamily(f mesh.Family, words []string) bool {
	named := slices.Contains(words, "ipv4") || slices.Contains(words, "ipv6")
	return !named || slices.Contains(words, f.String())
}

func (w *world) where(words []string, do func(*agent)) {
	for _, a := range w.agents {
		if a.is(words) {
			do(a)
		}
	}
}

// copyAgent starts a second agent with the identity of one, as a copied server does.
func (w *world) copyAgent(vantage string) {
	w.where([]string{vantage}, func(a *agent) {
		w.agents = append(w.agents, &agent{key: a.key, place: a.place + "-copy", region: a.region, epoch: a.epoch + 1<<32})
	})
}

// restartAgents gives the agents a new start. What they had not sent is lost.
func (w *world) restartAgents(where []string) {
	w.where(where, func(a *agent) { a.epoch, a.sequence, a.ready, a.kept = a.epoch+1, 0, nil, nil })
}

// cut parts these regions from the others and from the coordinator.
func (w *world) cut(regions []string) {
	w.each("*/*", nil, func(p path) {
		region := func(key string) bool { return slices.Contains(regions, w.catalog.Host(key).Region) }
		if region(p.vantage) != region(p.host) {
			w.broken[p] = "timeout"
		}
	})
	w.where(regions, func(a *agent) { a.silent = true })
}

// flap breaks and mends by turns.
func (w *world) flap(l line) {
	period, _ := time.ParseDuration(l.args[1])
	broken := (w.elapsed-l.from)/period%2 == 0 && w.elapsed < l.to
	reason, where := "connection refused", l.args[2:]
	if len(where) > 0 && strings.HasPrefix(where[0], `"`) {
		reason, where = strings.Trim(where[0], `"`), where[1:]
	}
	w.each(l.args[0], cutFrom(where), func(p path) {
		delete(w.broken, p)
		if broken {
			w.broken[p] = reason
		}
	})
}

// step lets 50 ms go by.
func (w *world) step() {
	for _, a := range w.agents {
		for _, d := range w.plan(a) {
			if d.next <= w.elapsed {
				w.look(a, d.Host, d.Check, d.Family, 0)
				d.next = d.Next(epoch.Add(w.elapsed)).Sub(epoch)
			}
		}
		w.speak(a)
	}
	if wait := w.tick(); !w.stopped && w.elapsed-w.lastTick >= wait {
		w.lastTick = w.elapsed
		w.give(judge.Input{})
	}
}

// duty is a look that is due at a moment to come.
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

// snapshot is what the judge holds; it changes with what is given to it only.
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

// look is rule 1 as the judge sees it: a definite answer is settled after a re-check, a loss after its retries.
func (w *world) look(a *agent, h *catalog.Host, c *catalog.Check, family mesh.Family, round uint64) {
	if a.blind {
		return
	}
	o := mesh.Observation{Host: h.Key(), Check: c.Name, Family: family, Began: epoch.Add(w.elapsed), Round: round, Sent: 1}
	p := path{a.place, h.Key(), c.Name, family}
	reason, broken := w.broken[p]
	if a.old && h.Named() {
		if family == mesh.IPv4 { // one look for both
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
		a.say(w.elapsed+100*time.Millisecond, o)
		return
	case ours(reason, family) != "":
		o.Outcome, o.Reason, o.Elapsed = mesh.Inconclusive, ours(reason, family), time.Millisecond
		a.say(w.elapsed+step, o)
		return
	}
	o.Outcome, o.Reason = mesh.Unreachable, reason
	miss, settled := 100*time.Millisecond, 200*time.Millisecond
	if reason == "timeout" {
		miss, settled = 300*time.Millisecond, 1200*time.Millisecond
	}
	missed := o
	missed.Stage, missed.Elapsed, o.Elapsed = mesh.Missed, miss, settled
	a.say(w.elapsed+miss, missed)
	if reason == "one probe lost" {
		o.Outcome = mesh.Slow
	}
	a.say(w.elapsed+settled, o)
}

// ours is how an agent tells that a look which failed so says nothing of the host, or "".
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

func (a *agent) say(at time.Duration, o mesh.Observation) { a.ready = append(a.ready, said{at, o}) }

// speak sends what is ready: at once when there is something, else every 2 s.
func (w *world) speak(a *agent) {
	var later []said
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
		Agent: a.key, Epoch: a.epoch, Sequence: a.sequence, Revision: w.catalog.Revision, Began: epoch.Add(w.elapsed), Connected: epoch.Add(a.connected),
		Lag: a.lag, Clock: a.clock, AnchorsFail: a.anchorsFail, Observations: a.kept, Gossip: w.rumours(a),
	}
	a.kept = nil
	w.give(judge.Input{Batch: b})
}

// give puts a message on the stream and has the judge take what the stream's clock can date. A tick carries the
// leader's mark.
func (w *world) give(in judge.Input) {
	w.sequence++
	in.Sequence, in.At = w.sequence, epoch.Add(w.elapsed)
	var mark *meshtime.Mark
	if in.Batch == nil && in.Catalog == nil && in.Roster == nil {
		m := w.leader.Mark(&w.clock)
		mark = &m
	}
	w.waiting = append(w.waiting, in)
	moments := w.clock.Fold(in.At.Add(w.stepped), mark)
	due := w.leader.Observe(&w.clock, w.elapsed, true)
	dated := w.waiting[:len(moments)]
	w.waiting = w.waiting[len(moments):]
	for i, at := range moments {
		w.hear(received(dated[i], at))
	}
	if due {
		w.give(judge.Input{})
	}
}

// received is a message as a reader of the stream sees it that was stored at a moment: what the agent tells, it tells
// by age.
func received(in judge.Input, at meshtime.Moment) judge.Input {
	off := at.Mesh.Sub(in.At)
	in.At, in.Offset = at.Mesh, at.Offset()
	if in.Batch == nil || off == 0 {
		return in
	}
	b := *in.Batch
	b.Began, b.Connected = b.Began.Add(off), b.Connected.Add(off)
	b.Observations = slices.Clone(b.Observations)
	for i := range b.Observations {
		b.Observations[i].Began = b.Observations[i].Began.Add(off)
	}
	b.Gossip.Acks, b.Gossip.Dead = slices.Clone(b.Gossip.Acks), slices.Clone(b.Gossip.Dead)
	for _, rumours := range [][]mesh.Rumour{b.Gossip.Acks, b.Gossip.Dead} {
		for i := range rumours {
			rumours[i].At = rumours[i].At.Add(off)
		}
	}
	in.Batch = &b
	return in
}

// hear has the judge take a message and does what it asks.
func (w *world) hear(in judge.Input) {
	w.inputs = append(w.inputs, in)
	out := w.judge.Step(in)
	w.published = append(w.published, out.Transitions...)
	for _, ask := range out.Asks {
		h := w.catalog.Host(ask.Host)
		w.asked[ask.Host]++
		w.countExtra(h)
		for _, a := range w.agents {
			for i := range h.Checks {
				for _, family := range h.FamiliesOf(&h.Checks[i]) {
					if a.region != h.Region && !a.silent && !a.deaf {
						w.look(a, h, &h.Checks[i], family, ask.Round)
					}
				}
			}
		}
	}
}
