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

// chaos is a mesh in which anything is said: three to seven regions of a host or two, and no network at all. What a vantage sees
// of a host is drawn, and leans to what is true of the host at the time.
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
	gossips   bool
	crashes   []int // the turns at which the last host is gone, and back
	turns     int
	gone      map[string]bool // hosts, checks of all hosts, and the ways from a region to a host: "r1 h00"
	hushed    map[string]bool // agents that say nothing
	old       map[string]bool // agents of the version before, which look at a name without regard to families
	narrow    map[string]bool // agents without IPv6
	heard     map[string]time.Duration
	connected map[string]time.Duration
	starts    map[string]uint64           // of each agent
	copied    map[string]bool             // agents of which a copy from before the last start runs too
	asks      []mesh.Ask                  // the latest of each host
	looks     map[string]mesh.Observation // the latest finished one of each edge
	told      []string
}

func newChaos(t *rapid.T) *chaos {
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	c.Rule.CutHold, c.Rule.FlapOver, c.Rule.FlapUnder, c.Rule.RoundBudget = 0, 1e9, 1e9, 10
	addresses := rapid.SampledFrom([][]string{
		{"192.0.2.1"}, {"192.0.2.1"}, {"192.0.2.1", "2001:db8::1"}, {"mail.example.net"},
	}).Draw(t, "addresses")
	edges := len(addresses)
	if addresses[0] == "mail.example.net" {
		edges = 2
	}
	checks := rapid.SampledFrom([][]string{{"smtp"}, {"smtp", "ping"}, {"smtp", "ping"}, {"ping"}, {"smtp", "imap", "ping"}}).Draw(t, "checks")
	roster := &mesh.Roster{}
	for i := range rapid.IntRange(3, 8-edges-len(checks)/2).Draw(t, "regions") {
		name := fmt.Sprintf("r%d", i)
		c.Regions = append(c.Regions, catalog.Region{Name: name})
		for n := range rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "hosts") {
			h := catalog.Host{Name: fmt.Sprintf("h%d%d", i, n), Region: name, Addresses: addresses}
			for _, check := range checks {
				h.Checks = append(h.Checks, newCheck(check))
			}
			c.Hosts, roster.Vantages = append(c.Hosts, h), append(roster.Vantages, h.Key())
		}
	}
	catalog.NameFamilies(c)
	catalog.Seal(c)
	if rapid.IntRange(0, 7).Draw(t, "stranger") == 0 {
		roster.Vantages = roster.Vantages[1:]
	}
	old, narrow := map[string]bool{}, map[string]bool{}
	for _, agent := range roster.Vantages {
		old[agent] = rapid.IntRange(0, 3).Draw(t, "old") == 3
		narrow[agent] = rapid.IntRange(0, 2).Draw(t, "without IPv6") == 2
	}
	return &chaos{
		old: old, narrow: narrow,
		t: t, catalog: c, roster: roster, at: time.Minute, honest: rapid.Bool().Draw(t, "honest"), gossips: rapid.Bool().Draw(t, "gossips"),
		judge: judge.New(judge.Start{Catalog: c, Roster: roster}), reference: newReference(c, roster),
		gone: map[string]bool{}, hushed: map[string]bool{}, heard: map[string]time.Duration{}, starts: map[string]uint64{}, copied: map[string]bool{}, connected: map[string]time.Duration{},
		looks: map[string]mesh.Observation{},
	}
}

// begin lets everybody see that all is well, in most histories, so that they tell of more than of pending checks.
func (w *chaos) begin() {
	if rapid.IntRange(0, 7).Draw(w.t, "nothing is known") == 0 {
		return
	}
	for _, agent := range w.agents() {
		var said []mesh.Observation
		for i := range w.catalog.Hosts {
			if host := &w.catalog.Hosts[i]; host.Key() != agent {
				said = append(said, w.all(agent, host, 0, 500*time.Millisecond)...)
			}
		}
		b := w.heartbeat(agent)
		b.Observations = said
		w.send(b)
	}
	switch rapid.IntRange(0, 7).Draw(w.t, "at first") {
	case 1, 2, 3:
		w.losePaths()
	case 4, 5, 6, 7:
		gone := rapid.IntRange(1, 5).Draw(w.t, "gone at")
		w.crashes = []int{gone, gone + rapid.IntRange(8, 15).Draw(w.t, "gone for")}
	}
}

// losePaths takes the ways to a host from some regions, or gives them back.
func (w *chaos) losePaths() {
	h := w.often()
	for _, r := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.catalog.Regions), 2, 3, func(r catalog.Region) string { return r.Name }).Draw(w.t, "from") {
		w.flip(w.gone, r.Name+" "+h)
	}
}

func (w *chaos) flip(m map[string]bool, key string) {
	m[key] = !m[key]
	w.told = append(w.told, fmt.Sprintf("%v turns: %s", w.at, key))
}

// step lets something happen, and compares what both hold true of every check.
func (w *chaos) step(seen map[mesh.Verdict]int) {
	w.at += time.Duration(rapid.SampledFrom([]int{900, 1900, 600, 50}).Draw(w.t, "ms")) * time.Millisecond
	if rapid.IntRange(0, 60).Draw(w.t, "the stream stops") == 59 { // draws lean to what is small
		w.at += time.Duration(rapid.IntRange(5, 40).Draw(w.t, "s")) * time.Second
	}
	w.tick()
	w.turn()
	for _, agent := range w.agents() {
		if !w.hushed[agent] && w.at-w.heard[agent] >= 2*time.Second {
			w.publish(agent)
		}
	}
	for range rapid.IntRange(1, 3).Draw(w.t, "batches") {
		if agent := w.any(); !w.hushed[agent] {
			w.say(agent)
		}
	}
	if len(w.asks) > 0 && rapid.IntRange(0, 3).Draw(w.t, "answer") > 0 {
		w.answer(w.asks[0])
		w.asks = w.asks[1:]
	}
	w.compare(seen)
}

// agents are the keys of all hosts, strangers too.
func (w *chaos) agents() []string {
	var out []string
	for i := range w.catalog.Hosts {
		out = append(out, w.catalog.Hosts[i].Key())
	}
	return out
}

func (w *chaos) any() string { return rapid.SampledFrom(w.agents()).Draw(w.t, "any") }

// often is the last host as often as any other: what happens to one host makes the longest stories.
func (w *chaos) often() string {
	if rapid.Bool().Draw(w.t, "the last") {
		return w.catalog.Hosts[len(w.catalog.Hosts)-1].Key()
	}
	return w.any()
}

// turn changes the world now and then.
func (w *chaos) turn() {
	if w.turns++; slices.Contains(w.crashes, w.turns) {
		w.crash(w.catalog.Hosts[len(w.catalog.Hosts)-1].Key())
	}
	switch rapid.IntRange(0, 60).Draw(w.t, "starts") - 50 {
	case 0:
		w.starts[w.any()]++
	case 1, 2:
		agent := w.any()
		w.starts[agent]++
		w.flip(w.copied, agent)
	}
	switch rapid.IntRange(0, 60).Draw(w.t, "turns") - 50 {
	case 0, 1:
		w.flip(w.gone, w.often())
	case 2, 3:
		w.losePaths()
	case 4:
		w.flip(w.gone, w.often()+rapid.SampledFrom([]string{"/ping", "/smtp", "/ipv6"}).Draw(w.t, "what"))
	case 7, 8:
		w.crash(w.often())
	case 5:
		w.flip(w.hushed, w.any())
	case 9:
		w.flip(w.old, w.any())
	case 10:
		w.flip(w.narrow, w.any())
	case 6:
		hush := rapid.Bool().Draw(w.t, "hush")
		for _, agent := range w.agents() {
			if w.hushed[agent] = hush && rapid.Bool().Draw(w.t, "hushed"); w.hushed[agent] {
				w.connected[agent] = w.at + time.Millisecond
			}
		}
		w.told = append(w.told, fmt.Sprintf("%v hushed: %v", w.at, w.hushed))
	}
}

// crash takes a host away, or lets it come back behind a firewall that drops pings.
func (w *chaos) crash(host string) {
	w.flip(w.gone, host)
	if !w.gone[host] {
		w.gone[host+"/ping"] = true
	}
}

// say has an agent speak of a host.
func (w *chaos) say(agent string) {
	host := w.catalog.Host(w.often())
	if host.Key() == agent {
		return
	}
	ago := time.Duration(rapid.SampledFrom([]int{0, 50, 500, 1500, 5000}).Draw(w.t, "ago")) * time.Millisecond
	check := rapid.SampledFrom(host.Checks).Draw(w.t, "check")
	w.publish(agent, w.look(agent, host, check.Name, rapid.SampledFrom(w.families(agent, host, &check)).Draw(w.t, "family"), 0, ago))
}

// answer has every other agent answer a round, or most of them.
func (w *chaos) answer(ask mesh.Ask) {
	host := w.catalog.Host(ask.Host)
	for _, agent := range w.agents() {
		if w.catalog.Host(agent).Region == host.Region || w.hushed[agent] || !w.honest && rapid.IntRange(0, 9).Draw(w.t, "speaks") == 0 {
			continue
		}
		w.publish(agent, w.all(agent, host, ask.Round, 10*time.Millisecond)...)
	}
}

// all is what an agent sees of all of a host's checks.
func (w *chaos) all(agent string, host *catalog.Host, round uint64, ago time.Duration) (said []mesh.Observation) {
	for _, c := range host.Checks {
		for _, f := range w.families(agent, host, &c) {
			said = append(said, w.look(agent, host, c.Name, f, round, ago))
		}
	}
	return said
}

// families are those that the agent looks at a check through.
func (w *chaos) families(agent string, host *catalog.Host, c *catalog.Check) []mesh.Family {
	if w.old[agent] && host.Named() {
		return []mesh.Family{mesh.AnyFamily}
	}
	return host.FamiliesOf(c)
}

// look is what an agent sees of a host: mostly what is true.
func (w *chaos) look(agent string, host *catalog.Host, check string, family mesh.Family, round uint64, ago time.Duration) mesh.Observation {
	edge := fmt.Sprint(agent, host.Key(), check, family)
	if o, ok := w.looks[edge]; ok && round > 0 && rapid.IntRange(0, 9).Draw(w.t, "in flight") == 9 {
		o.Round = round // the look that was under way answers the round too
		w.told = append(w.told, fmt.Sprintf("%v %s says the same of %s/%s %v again in round %d", w.at, agent, host.Key(), check, family, round))
		return o
	}
	o := mesh.Observation{Host: host.Key(), Check: check, Family: family, Began: epoch.Add(w.at - ago), Round: round, Sent: 1, Outcome: mesh.Reachable}
	lies := 2
	if !w.honest {
		lies = rapid.IntRange(0, 19).Draw(w.t, "lies")
	}
	key := host.Key()
	gone := w.lost(agent, key) || w.gone[key+"/"+check] || w.gone[key+"/"+family.String()]
	switch {
	case lies == 0:
		o.Outcome = mesh.Inconclusive
		o.Reason = rapid.SampledFrom([]string{
			"", mesh.ReasonNoRoute, mesh.ReasonNoAddress(family), mesh.ReasonNotPermitted + "x", "the resolver is silent",
		}).Draw(w.t, "why")
	case family == mesh.IPv6 && w.narrow[agent]:
		o.Outcome, o.Reason = mesh.Inconclusive, mesh.ReasonNoRoute
	case (lies == 1) != gone:
		o.Outcome, o.Reason = mesh.Unreachable, "timeout"
		if round == 0 && rapid.Bool().Draw(w.t, "missed") {
			o.Stage = mesh.Missed
		}
	}
	w.told = append(w.told, fmt.Sprintf("%v %s sees %s/%s %v: %v %v round %d, began %v ago", w.at, agent, key, check, family, o.Outcome, o.Stage, round, ago))
	if o.Stage == mesh.Settled {
		w.looks[edge] = o
	}
	return o
}

// lost reports whether nothing of the host reaches the agent.
func (w *chaos) lost(agent, host string) bool {
	return w.gone[host] || w.gone[w.catalog.Host(agent).Region+" "+host]
}

// publish sends what an agent saw. Its heartbeat comes first, and both sides are given time in between: which is weighed first
// is nobody's rule.
func (w *chaos) publish(agent string, said ...mesh.Observation) {
	b := w.heartbeat(agent)
	w.send(b)
	if len(said) > 0 {
		b.Observations = said
		w.send(b)
	}
}

// epoch is the start of the agent that a batch comes from: the latest, or the one before of which a copy runs.
func (w *chaos) epoch(agent string) uint64 {
	if w.copied[agent] && rapid.Bool().Draw(w.t, "copy") {
		return w.starts[agent]
	}
	return w.starts[agent] + 1
}

func (w *chaos) heartbeat(agent string) mesh.Batch {
	w.heard[agent] = w.at
	return mesh.Batch{
		Gossip: w.gossip(agent),
		Agent:  agent, Epoch: w.epoch(agent), Revision: w.catalog.Revision, Began: epoch.Add(w.at), Connected: epoch.Add(w.connected[agent]),
		AnchorsFail: !w.honest && rapid.IntRange(0, 40).Draw(w.t, "anchors") == 0,
	}
}

// gossip is of one host that proved to the agent that it is alive, where that is true or the agent lies. An
// acknowledgement of any host, which anybody can forge, may come with it.
func (w *chaos) gossip(agent string) (out mesh.Gossip) {
	if !w.gossips || rapid.IntRange(0, 3).Draw(w.t, "gossip") == 0 {
		return out
	}
	if rapid.Bool().Draw(w.t, "forged") {
		out.Acks = []mesh.Rumour{{Host: w.often(), At: epoch.Add(w.at)}}
	}
	host := w.often()
	if host == agent || w.lost(agent, host) && (w.honest || rapid.IntRange(0, 19).Draw(w.t, "lies") > 0) {
		return out
	}
	ago := time.Duration(rapid.SampledFrom([]int{0, 50, 500, 5000, -500}).Draw(w.t, "proved ago")) * time.Millisecond
	w.told = append(w.told, fmt.Sprintf("%v %s has a proof of %s from %v ago", w.at, agent, host, ago))
	out.Proofs = []mesh.Rumour{{Host: host, At: epoch.Add(w.at - ago)}}
	return out
}

func (w *chaos) send(b mesh.Batch) {
	w.batch++
	b.Sequence = w.batch
	if asked, ended := w.give(judge.Input{Batch: &b}); asked || ended || len(b.Observations)+len(b.Gossip.Proofs) > 0 {
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
		w.asks = append(slices.DeleteFunc(w.asks, func(a mesh.Ask) bool { return a.Host == ask.Host }), ask)
		w.reference.asked(ask)
	}
	return len(out.Asks) > 0, w.reference.closings > was
}

func (w *chaos) compare(seen map[mesh.Verdict]int) {
	for _, h := range w.judge.Snapshot().Hosts {
		for _, c := range h.Checks {
			want := w.reference.target(mesh.Key(h.Name), c.Name).verdict
			if seen[want]++; c.Verdict == want {
				continue
			}
			for _, line := range w.told {
				w.t.Log(line)
			}
			for _, v := range c.Votes {
				w.t.Logf("%s %v %s", v.Region, v.Vote, v.Why)
			}
			w.t.Fatalf("at %v the judge holds %s/%s %s (%s), and the reference %s", w.at, h.Name, c.Name, c.Verdict, c.Rule, want)
		}
	}
}

// The judge and the reference hold the same true of every check at every moment.
func TestTheReferenceAgrees(t *testing.T) {
	seen, filtered, shared := map[mesh.Verdict]int{}, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(t)
		defer func() { filtered, shared = filtered+w.reference.filtered, shared+len(w.reference.shared) }()
		w.begin()
		for range rapid.IntRange(15+len(w.crashes)*10, 45).Draw(t, "steps") {
			w.step(seen)
		}
		for range rapid.SampledFrom([]int{0, 0, 0, 20}).Draw(t, "silent steps") {
			w.at += 2 * time.Second
			w.tick()
			w.compare(seen)
		}
	})
	t.Logf("held true: %v, %d pings left down filtered, and %d identities were shared", seen, filtered, shared)
	if shared == 0 {
		t.Error("two agents never used one identity")
	}
	if filtered == 0 {
		t.Error("no ping left down filtered")
	}
	for _, v := range []mesh.Verdict{mesh.Up, mesh.Down, mesh.Partial, mesh.Unknown, mesh.Pending} {
		if seen[v] == 0 {
			t.Errorf("no history led to %s: it proves nothing of it", v)
		}
	}
}
