package judge_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// chaos is a mesh in which anything is said: three to eight regions of a host or two, a check each, and no network at all. What
// a vantage sees of a host is drawn, and leans to what is true of the host at the time.
type chaos struct {
	t         *rapid.T
	catalog   *catalog.Catalog
	roster    *mesh.Roster
	judge     *judge.Judge
	reference *reference
	at        time.Duration
	sequence  uint64
	batch     uint64
	honest    bool
	gone      map[string]bool // hosts, and the ways from a region to a host: "r1 h00"
	hushed    map[string]bool // agents that say nothing
	heard     map[string]time.Duration
	asks      []mesh.Ask
	told      []string
}

func newChaos(t *rapid.T) *chaos {
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	c.Rule.CutHold, c.Rule.FlapOver, c.Rule.FlapUnder, c.Rule.RoundBudget = 0, 1e9, 1e9, 10
	roster := &mesh.Roster{}
	for i := range rapid.IntRange(3, 8).Draw(t, "regions") {
		name := fmt.Sprintf("r%d", i)
		c.Regions = append(c.Regions, catalog.Region{Name: name})
		for n := range rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "hosts") {
			h := catalog.Host{Name: fmt.Sprintf("h%d%d", i, n), Region: name, Addresses: []string{"192.0.2.1"}, Checks: []catalog.Check{newCheck("smtp")}}
			c.Hosts, roster.Vantages = append(c.Hosts, h), append(roster.Vantages, h.Key())
		}
	}
	slices.Sort(roster.Vantages)
	catalog.Seal(c)
	return &chaos{
		t: t, catalog: c, roster: roster, honest: rapid.Bool().Draw(t, "honest"),
		judge: judge.New(judge.Start{Catalog: c, Roster: roster}), reference: newReference(c, roster),
		gone: map[string]bool{}, hushed: map[string]bool{}, heard: map[string]time.Duration{},
	}
}

// step lets something happen, and compares what both hold true of every check.
func (w *chaos) step() {
	w.at += time.Duration(rapid.IntRange(50, 1900).Draw(w.t, "ms")) * time.Millisecond
	w.tick()
	w.turn()
	for _, agent := range w.roster.Vantages {
		if !w.hushed[agent] && w.at-w.heard[agent] >= 2*time.Second {
			w.publish(agent, nil)
		}
	}
	for range rapid.IntRange(1, 3).Draw(w.t, "batches") {
		w.say(rapid.SampledFrom(w.roster.Vantages).Draw(w.t, "agent"))
	}
	if len(w.asks) > 0 && rapid.IntRange(0, 3).Draw(w.t, "answer") > 0 {
		w.answer(w.asks[0])
		w.asks = w.asks[1:]
	}
	w.compare()
}

// turn changes the world now and then.
func (w *chaos) turn() {
	flip := func(m map[string]bool, key string) {
		m[key] = !m[key]
		w.told = append(w.told, fmt.Sprintf("%v turns: %s", w.at, key))
	}
	switch rapid.IntRange(0, 30).Draw(w.t, "turns") {
	case 0, 1:
		flip(w.gone, rapid.SampledFrom(w.roster.Vantages).Draw(w.t, "host"))
	case 2, 3:
		h := rapid.SampledFrom(w.roster.Vantages).Draw(w.t, "to")
		for _, r := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.catalog.Regions), 2, 3, func(r catalog.Region) string { return r.Name }).Draw(w.t, "from") {
			flip(w.gone, r.Name+" "+h)
		}
	case 4:
		flip(w.hushed, rapid.SampledFrom(w.roster.Vantages).Draw(w.t, "agent"))
	}
}

// say has an agent speak: of one host, or of none.
func (w *chaos) say(agent string) {
	if host := rapid.SampledFrom(w.roster.Vantages).Draw(w.t, "host"); host != agent && rapid.IntRange(0, 3).Draw(w.t, "looks") > 0 {
		o := w.look(agent, host, 0, time.Duration(rapid.IntRange(0, 1500).Draw(w.t, "ago"))*time.Millisecond)
		w.publish(agent, &o)
	}
}

// answer has every other agent answer a round, or most of them.
func (w *chaos) answer(ask mesh.Ask) {
	region := w.catalog.Host(ask.Host).Region
	for _, agent := range w.roster.Vantages {
		if w.catalog.Host(agent).Region != region && !w.hushed[agent] && (w.honest || rapid.IntRange(0, 9).Draw(w.t, "speaks") > 0) {
			o := w.look(agent, ask.Host, ask.Round, 10*time.Millisecond)
			w.publish(agent, &o)
		}
	}
}

func (w *chaos) look(agent, host string, round uint64, ago time.Duration) mesh.Observation {
	o := mesh.Observation{Host: host, Check: "smtp", Family: mesh.IPv4, Began: epoch.Add(w.at - ago), Round: round, Sent: 1, Outcome: mesh.Reachable}
	lies := 2
	if !w.honest {
		lies = rapid.IntRange(0, 19).Draw(w.t, "lies")
	}
	switch {
	case lies == 0:
		o.Outcome = mesh.Inconclusive
	case (lies == 1) != (w.gone[host] || w.gone[w.catalog.Host(agent).Region+" "+host]):
		o.Outcome, o.Reason = mesh.Unreachable, "timeout"
		if round == 0 && rapid.Bool().Draw(w.t, "missed") {
			o.Stage = mesh.Missed
		}
	}
	w.told = append(w.told, fmt.Sprintf("%v %s sees %s: %v %v round %d, began %v ago", w.at, agent, host, o.Outcome, o.Stage, round, ago))
	return o
}

// publish sends what an agent saw. Its heartbeat comes first, and both sides are given time between the two: which of a batch's
// parts is weighed first is nobody's rule.
func (w *chaos) publish(agent string, said *mesh.Observation) {
	b := mesh.Batch{Agent: agent, Epoch: 1, Revision: w.catalog.Revision, Began: epoch.Add(w.at)}
	b.AnchorsFail = !w.honest && rapid.IntRange(0, 40).Draw(w.t, "anchors") == 0
	w.heard[agent] = w.at
	w.send(b)
	if said != nil {
		b.Observations = []mesh.Observation{*said}
		w.send(b)
	}
}

func (w *chaos) send(b mesh.Batch) {
	w.batch++
	b.Sequence = w.batch
	if asked, ended := w.give(judge.Input{Batch: &b}); asked || ended || len(b.Observations) > 0 {
		w.tick()
	}
}

// tick has both look at everything until nothing follows from it: what is known already may answer a round, and a round's end may
// show that a vantage is isolated.
func (w *chaos) tick() {
	for asked, ended := true, false; asked || ended; {
		asked, ended = w.give(judge.Input{})
	}
}

// give tells both sides, and reports whether rounds were asked for or ended.
func (w *chaos) give(in judge.Input) (asked, ended bool) {
	w.sequence++
	in.Sequence, in.At = w.sequence, epoch.Add(w.at)
	out := w.judge.Step(in)
	was := w.reference.closings
	w.reference.hear(in)
	for _, ask := range out.Asks {
		w.told = append(w.told, fmt.Sprintf("%v round %d of %s since %v", w.at, ask.Round, ask.Host, ask.Since.Sub(epoch)))
		w.asks = append(w.asks, ask)
		w.reference.asked(ask)
	}
	return len(out.Asks) > 0, w.reference.closings > was
}

func (w *chaos) compare() {
	for _, h := range w.judge.Snapshot().Hosts {
		if want := w.reference.checks[mesh.Key(h.Name)].verdict; h.Checks[0].Verdict != want {
			for _, line := range w.told {
				w.t.Log(line)
			}
			for _, v := range h.Checks[0].Votes {
				w.t.Logf("%s %v %s", v.Region, v.Vote, v.Why)
			}
			w.t.Fatalf("at %v the judge holds %s %s (%s), and the reference %s", w.at, h.Name, h.Checks[0].Verdict, h.Checks[0].Rule, want)
		}
	}
}

// The judge and the reference hold the same true of every check at every moment.
func TestTheReferenceAgrees(t *testing.T) {
	seen := map[mesh.Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(t)
		for range rapid.IntRange(20, 80).Draw(t, "steps") {
			w.step()
			for _, c := range w.reference.checks {
				seen[c.verdict]++
			}
		}
	})
	t.Logf("held true: %v", seen)
	for _, v := range []mesh.Verdict{mesh.Up, mesh.Down, mesh.Partial, mesh.Unknown, mesh.Pending} {
		if seen[v] == 0 {
			t.Errorf("no history led to %s: it proves nothing of it", v)
		}
	}
}
