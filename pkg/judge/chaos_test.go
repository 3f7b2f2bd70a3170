package judge_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// chaos is a mesh in which agents report anything: three to seven regions of a host or two, without a network. What a
// vantage sees of a host is drawn at random, mostly what is true of the host at the time.
type chaos struct {
	t         *rapid.T
	catalog   *catalog.Catalog
	present   *catalog.Catalog // in force, with other names than catalog; nil before the first rename
	updated   map[string]bool  // agents that have it
	roster    *mesh.Roster
	earlier   []*catalog.Catalog // that were in force before
	judge     *judge.Judge
	loaded    *judge.Judge // what was saved and read; nil before the first time
	reference *reference
	at        time.Duration
	sequence  uint64
	batch     uint64
	honest    bool
	gossips   bool
	crashes   []int // the turns at which the last host is gone, and back
	turns     int
	gone      map[string]bool // hosts, checks of all hosts, and the paths from a region to a host: "r1 h00"
	hushed    map[string]bool // agents that send nothing
	old       map[string]bool // agents of the previous version, which probe a name without regard to families
	narrow    map[string]bool // agents without IPv6
	heard     map[string]time.Duration
	connected map[string]time.Duration
	starts    map[string]uint64           // of each agent
	copied    map[string]bool             // agents of which a copy from before the last start runs too
	asks      []mesh.RoundRequest         // the latest of each host
	looks     map[string]mesh.Observation // the latest finished observation of each edge
	log       []string
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
	checks := rapid.SampledFrom([][]string{{"smtp"}, {"smtp", "ping"}, {"smtp", "ping"}, {"ping"},
		{"smtp", "imap", "ping"}}).Draw(t, "checks")
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
		old: old, narrow: narrow, updated: map[string]bool{},
		t: t, catalog: c, roster: roster, at: time.Minute, honest: rapid.Bool().Draw(t,
			"honest"), gossips: rapid.Bool().Draw(t, "gossips"),
		judge: judge.New(judge.Start{Catalog: c, Roster: roster}), reference: newReference(c, roster),
		gone: map[string]bool{}, hushed: map[string]bool{}, copied: map[string]bool{}, starts: map[string]uint64{},
		heard: map[string]time.Duration{}, connected: map[string]time.Duration{},
		looks: map[string]mesh.Observation{},
	}
}

// begin makes every agent report that everything works, in most histories, so that they do not consist of pending
// checks alone.
func (w *chaos) begin() {
	if rapid.IntRange(0, 7).Draw(w.t, "nothing is known") == 0 {
		return
	}
	for _, agent := range w.agents() {
		var said []mesh.Observation
		for i := range w.catalog.Hosts {
			if host := &w.catalog.Hosts[i]; host.Key() != agent {
				said = append(said, w.observeAll(agent, host, 0, 500*time.Millisecond)...)
			}
		}
		b := w.heartbeat(agent)
		b.Observations = said
		w.send(b)
	}
	switch rapid.IntRange(0, 7).Draw(w.t, "at first") {
	case 1, 2, 3:
		losePaths(w)
	case 4, 5, 6, 7:
		gone := rapid.IntRange(1, 5).Draw(w.t, "gone at")
		w.crashes = []int{gone, gone + rapid.IntRange(8, 15).Draw(w.t, "gone for")}
	}
}

// losePaths cuts the paths to a host from some regions, or restores them.
func losePaths(w *chaos) {
	h := w.often()
	for _, r := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.catalog.Regions), 2, 3,
		func(r catalog.Region) string { return r.Name }).Draw(w.t, "from") {
		w.flip(w.gone, r.Name+" "+h)
	}
}

func (w *chaos) flip(m map[string]bool, key string) {
	m[key] = !m[key]
	w.log = append(w.log, fmt.Sprintf("%v turns: %s", w.at, key))
}

// step changes something, and compares both verdicts of every check.
func (w *chaos) step(seen map[mesh.Verdict]int) {
	w.at += time.Duration(rapid.SampledFrom([]int{900, 1900, 600, 50}).Draw(w.t, "ms")) * time.Millisecond
	if rapid.IntRange(0, 60).Draw(w.t, "the stream stops") == 59 { // rapid prefers small numbers
		w.at += time.Duration(rapid.IntRange(5, 40).Draw(w.t, "s")) * time.Second
	}
	w.tick()
	w.changeWorld()
	for _, agent := range w.agents() {
		if !w.hushed[agent] && w.at-w.heard[agent] >= 2*time.Second {
			w.publish(agent)
		}
	}
	for range rapid.IntRange(1, 3).Draw(w.t, "batches") {
		if agent := w.any(); !w.hushed[agent] {
			w.observeOne(agent)
		}
	}
	if len(w.asks) > 0 && rapid.IntRange(0, 3).Draw(w.t, "answer") > 0 {
		w.answer(w.asks[0])
		w.asks = w.asks[1:]
	}
	w.compare(seen)
}

// agents returns the keys of all hosts, also of those that are not enrolled.
func (w *chaos) agents() []string {
	var out []string
	for i := range w.catalog.Hosts {
		out = append(out, w.catalog.Hosts[i].Key())
	}
	return out
}

func (w *chaos) any() string { return rapid.SampledFrom(w.agents()).Draw(w.t, "any") }

// often returns the last host as often as all others: events on one host make the longest histories.
func (w *chaos) often() string {
	if rapid.Bool().Draw(w.t, "the last") {
		return w.catalog.Hosts[len(w.catalog.Hosts)-1].Key()
	}
	return w.any()
}

// changeWorld changes the world now and then.
func (w *chaos) changeWorld() {
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
		losePaths(w)
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
		w.log = append(w.log, fmt.Sprintf("%v hushed: %v", w.at, w.hushed))
	}
}

// crash stops a host, or starts it again behind a firewall that drops pings.
func (w *chaos) crash(host string) {
	w.flip(w.gone, host)
	if !w.gone[host] {
		w.gone[host+"/ping"] = true
	}
}

// observeOne makes an agent report on a host.
func (w *chaos) observeOne(agent string) {
	host := w.catalog.Host(w.often())
	if host.Key() == agent {
		return
	}
	ago := time.Duration(rapid.SampledFrom([]int{0, 50, 500, 1500, 5000}).Draw(w.t, "ago")) * time.Millisecond
	check := rapid.SampledFrom(host.Checks).Draw(w.t, "check")
	w.publish(agent, w.observe(agent, host, check.Name,
		rapid.SampledFrom(w.families(agent, host, &check)).Draw(w.t, "family"), 0, ago))
}

// answer makes every other agent answer a round, or most of them.
func (w *chaos) answer(ask mesh.RoundRequest) {
	host := w.catalog.Host(ask.Host)
	for _, agent := range w.agents() {
		if w.catalog.Host(agent).Region == host.Region || w.hushed[agent] || !w.honest &&
			rapid.IntRange(0, 9).Draw(w.t, "speaks") == 0 {
			continue
		}
		w.publish(agent, w.observeAll(agent, host, ask.Round, 10*time.Millisecond)...)
	}
}

// observeAll returns what an agent sees of all of a host's checks.
func (w *chaos) observeAll(agent string, host *catalog.Host, round uint64,
	ago time.Duration) (said []mesh.Observation) {
	for _, c := range host.Checks {
		for _, f := range w.families(agent, host, &c) {
			said = append(said, w.observe(agent, host, c.Name, f, round, ago))
		}
	}
	return said
}

// families returns those through which the agent probes a check.
func (w *chaos) families(agent string, host *catalog.Host, c *catalog.Check) []mesh.Family {
	if w.old[agent] && host.Named() {
		return []mesh.Family{mesh.AnyFamily}
	}
	return host.FamiliesOf(c)
}

// observe returns what an agent sees of a host: mostly what is true.
func (w *chaos) observe(agent string, host *catalog.Host, check string, family mesh.Family, round uint64,
	ago time.Duration) mesh.Observation {
	edge := fmt.Sprint(agent, host.Key(), check, family)
	if o, ok := w.looks[edge]; ok && round > 0 && rapid.IntRange(0, 9).Draw(w.t, "in flight") == 9 {
		o.Round = round // the probe that was in flight answers the round too
		w.log = append(w.log, fmt.Sprintf("%v %s reports the same of %s/%s %v again in round %d", w.at, agent,
			host.Key(),
			check, family, round))
		return o
	}
	o := mesh.Observation{Host: host.Key(), Check: check, Family: family, Began: epoch.Add(w.at - ago), Round: round,
		Sent: 1, Outcome: mesh.Reachable}
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
			"", mesh.ReasonNoRoute, mesh.ReasonNoAddress(family), mesh.ReasonNotPermitted + "x",
			"the resolver is silent",
		}).Draw(w.t, "why")
	case family == mesh.IPv6 && w.narrow[agent]:
		o.Outcome, o.Reason = mesh.Inconclusive, mesh.ReasonNoRoute
	case (lies == 1) != gone:
		o.Outcome, o.Reason = mesh.Unreachable, "timeout"
		if round == 0 && rapid.Bool().Draw(w.t, "missed") {
			o.Stage = mesh.Missed
		}
	}
	w.log = append(w.log, fmt.Sprintf("%v %s sees %s/%s %v: %v %v round %d, began %v ago", w.at, agent, key, check,
		family, o.Outcome, o.Stage, round, ago))
	if o.Stage == mesh.Settled {
		w.looks[edge] = o
	}
	return o
}

// lost reports whether nothing from the host reaches the agent.
func (w *chaos) lost(agent, host string) bool {
	return w.gone[host] || w.gone[w.catalog.Host(agent).Region+" "+host]
}

// publish sends what an agent saw. Its heartbeat comes first, with a tick in between: the rule does not say which of
// the two is applied first.
func (w *chaos) publish(agent string, said ...mesh.Observation) {
	b := w.heartbeat(agent)
	w.send(b)
	if len(said) > 0 {
		b.Observations = said
		w.send(b)
	}
}

// epoch returns the epoch of the agent that sends a batch: the latest, or the one before if a copy of that runs.
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
		Agent:  agent, Epoch: w.epoch(agent), Revision: w.catalog.Revision,
		Began: epoch.Add(w.at), Connected: epoch.Add(w.connected[agent]),
		AnchorsFail: !w.honest && rapid.IntRange(0, 40).Draw(w.t, "anchors") == 0,
	}
}

// gossip returns a report with a proof of one host, if that is true or the agent lies. An acknowledgement of any host,
// which any member can forge, may come with it.
func (w *chaos) gossip(agent string) (out mesh.Gossip) {
	if !w.gossips || rapid.IntRange(0, 3).Draw(w.t, "gossip") == 0 {
		return out
	}
	if rapid.Bool().Draw(w.t, "forged") {
		out.Acks = []mesh.GossipEntry{{Host: w.often(), At: epoch.Add(w.at)}}
	}
	host := w.often()
	if host == agent || w.lost(agent, host) && (w.honest || rapid.IntRange(0, 19).Draw(w.t, "lies") > 0) {
		return out
	}
	ago := time.Duration(rapid.SampledFrom([]int{0, 50, 500, 5000, -500}).Draw(w.t, "proved ago")) * time.Millisecond
	w.log = append(w.log, fmt.Sprintf("%v %s has a proof of %s from %v ago", w.at, agent, host, ago))
	out.Proofs = []mesh.GossipEntry{{Host: host, At: epoch.Add(w.at - ago)}}
	return out
}
