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

// world is a mesh of modelled agents around a real judge: each agent probes by its schedule and for rounds, and finds
// what the scenario says.
type world struct {
	judge   *judge.Judge
	catalog *catalog.Catalog   // as agents have it
	present *catalog.Catalog   // in force, after a rename; nil before: the same
	earlier []*catalog.Catalog // that were in force before
	ids     map[string]string  // of the agents' hosts
	agents  []*agent
	broken  map[path]string         // to the reason
	expiry  map[string]*mesh.Expiry // what agents report with good answers, by key

	alternating map[path]string // paths that fail at every second probe, to the reason
	looks       map[path]int    // probes of those

	checks     []string
	addresses  []string
	unfamilied bool           // the catalog is of the previous version, without families
	asked      map[string]int // rounds, by host's key
	extra      []extraProbe   // probes for rounds

	gossip gossipModel

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
	resumed   time.Duration // when the stream last resumed after a stop
	interval  time.Duration // of every check; 10 s where it is zero
	shared    bool          // mail servers see one session per interval from all agents together
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
	place       string // where it probes from: its key, and for a copy that with "-copy"
	epoch       uint64
	silent      bool
	blind, deaf bool
	old         bool // of the previous version: it probes a name through whatever family it has, IPv6 first
	lag, clock  time.Duration
	anchorsFail bool
	sequence    uint64
	last        time.Duration // its last batch
	connected   time.Duration
	reconnects  time.Duration // how long after a stop of the stream it is connected again
	ready       []pendingReport
	kept        []mesh.Observation // what it saw while it could not publish
}

// pendingReport is an observation that the agent will report at a later time.
type pendingReport struct {
	at time.Duration
	o  mesh.Observation
}

func newWorld() *world {
	return &world{
		catalog: &catalog.Catalog{Rule: catalog.DefaultRule()},
		checks:  []string{"smtp", "imap"}, addresses: []string{"192.0.2.1"},
		broken: map[path]string{}, alternating: map[path]string{}, looks: map[path]int{}, plans: map[string][]*duty{},
		asked: map[string]int{}, gossip: newGossipModel(),
	}
}

// addRegions adds regions and their hosts: the first host of region "ams" is AMS1.
func (w *world) addRegions(regions []string) {
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

// city returns what people call a region.
func city(region string) string {
	if known := map[string]string{
		"ams": "Amsterdam", "lon": "London", "van": "Vancouver", "nyc": "New York",
		"tor": "Toronto", "lus": "Lusaka", "syd": "Sydney", "sea": "Seattle",
	}[region]; known != "" {
		return known
	}
	return strings.ToUpper(region[:1]) + region[1:]
}

func newCheck(name string) catalog.Check {
	c := catalog.Check{Kind: catalog.KindTCP, Name: name, Critical: true, Interval: 10 * time.Second,
		Timeout: 3 * time.Second, Options: catalog.TCP{Port: 25}}
	if name == "ping" {
		c.Kind, c.Options = catalog.KindPing, catalog.Ping{}
	}
	if name == "mail" {
		c.Kind, c.Options = catalog.KindSMTP, catalog.SMTP{MailSession: catalog.MailSession{Port: 25}}
	}
	if name == "web" || name == "webmail" || name == "shop" {
		web := catalog.HTTP{
			URL: "https://www.example.net/", Verification: catalog.Verification{CertificateDays: 14},
		}
		switch name {
		case "webmail":
			web.Body = "Sign in"
		case "shop":
			web.Phases = map[string]string{"tls": "300ms"}
		}
		c.Kind, c.Options = catalog.KindHTTP, web
	}
	return c
}

func (w *world) setRule(t *testing.T, key, value string) {
	if err := json.Unmarshal(fmt.Appendf(nil, "{%q: %s}", key, value), &w.catalog.Rule); err != nil {
		t.Fatal(err)
	}
}

func (w *world) roster() *mesh.Roster {
	r := &mesh.Roster{Hosts: w.ids}
	for _, a := range w.agents {
		r.Vantages = append(r.Vantages, a.key)
	}
	slices.Sort(r.Vantages)
	return r
}

// begin builds the catalog and the judge.
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
	if w.shared {
		schedule.ShareServers(w.catalog, nil)
	}
	catalog.Seal(w.catalog)
	w.ids = map[string]string{}
	for _, h := range w.catalog.Hosts {
		w.ids[h.Key()] = h.ID
	}
	w.judge = judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster()})
}

// restart gives what was published to a new judge, which replays nothing: the hardest case.
func (w *world) restart() {
	start := judge.Start{Catalog: w.inForce(), Earlier: w.earlier, Roster: w.roster(), Standings: w.standings()}
	w.judge, w.seen = judge.New(start), nil
}

// standings returns what a ledger would have.
func (w *world) standings() []judge.Standing {
	latest := map[string]judge.Standing{}
	for _, t := range w.published {
		if t.Check != "" {
			latest[t.CheckID] = judge.StandingOf(t)
		}
	}
	var out []judge.Standing
	for _, s := range latest {
		out = append(out, s)
	}
	return out
}

// inForce returns the catalog that the judge has.
func (w *world) inForce() *catalog.Catalog {
	if w.present != nil {
		return w.present
	}
	return w.catalog
}

// called returns what agents call a host by its present name: "*" for all.
func (w *world) called(host string) string {
	if h := w.inForce().Host(mesh.Key(host)); h != nil {
		return w.catalog.HostByID(h.Identity()).Name
	}
	if h := w.catalog.Host(mesh.Key(host)); h != nil { // a line that lasts may begin before a rename
		return h.Name
	}
	return host
}

// renameIn gives hosts, or checks of one host, other names in one catalog. Agents get it as NATS knows them.
func renameIn(w *world, names map[string]string) error {
	before := withoutWas(w.inForce())
	next := withoutWas(before)
	for i := range next.Hosts {
		h := &next.Hosts[i]
		for k := range h.Checks {
			c := &h.Checks[k]
			if to := names[h.Name+"/"+c.Name]; to != "" {
				_, to, _ = strings.Cut(to, "/")
				c.Was, c.Name = c.Name, to
			}
		}
		if to := names[h.Name]; to != "" {
			h.Was, h.Name = h.Name, to
		}
	}
	identified, err := catalog.Identify(before, next)
	if err != nil {
		return err
	}
	var agents catalog.Agents
	agents.SetRoster(w.roster())
	agents.SetCatalog(identified.Catalog)
	w.earlier = append(w.earlier, w.inForce())
	now := func(host, check string) string {
		h := w.catalog.Host(host)
		return agents.Facing().HostByID(h.ID).CheckByID(h.IdentityOf(h.Check(check))).Name
	}
	w.broken, w.alternating = renamePaths(w.broken, now), renamePaths(w.alternating, now)
	w.looks = renamePaths(w.looks, now)
	for _, a := range w.agents {
		for i := range a.ready {
			a.ready[i].o.Check = now(a.ready[i].o.Host, a.ready[i].o.Check)
		}
		for i := range a.kept {
			a.kept[i].Check = now(a.kept[i].Host, a.kept[i].Check)
		}
	}
	w.present, w.catalog = identified.Catalog, agents.Facing()
	w.give(judge.Input{Catalog: w.present})
	return nil
}

func renamePaths[V any](of map[path]V, now func(host, check string) string) map[path]V {
	out := map[path]V{}
	for p, v := range of {
		p.check = now(p.host, p.check)
		out[p] = v
	}
	return out
}

// addCheck adds a check to the catalog, or replaces one by a check that asks something else.
func addCheck(w *world, what string) {
	host, check, _ := strings.Cut(what, "/")
	next := *w.catalog
	next.Hosts = slices.Clone(w.catalog.Hosts)
	h := next.Host(mesh.Key(host))
	asked := newCheck(check)
	asked.Options = catalog.TCP{Port: asked.Port() + 1}
	h.Checks = append(slices.DeleteFunc(slices.Clone(w.catalog.Host(mesh.Key(host)).Checks),
		func(c catalog.Check) bool { return c.Name == check }), asked)
	catalog.Seal(&next)
	for _, a := range w.agents { // an agent cancels its probes of a check that is gone
		a.ready = slices.DeleteFunc(a.ready, func(s pendingReport) bool {
			return s.o.Host == mesh.Key(host) &&
				s.o.Check == check
		})
	}
	w.catalog = &next
	w.give(judge.Input{Catalog: &next})
}

// exceptRegions changes in the catalog which regions leave checks out. Agents send what they have seen before all the
// same.
func exceptRegions(w *world, what string, regions []string) {
	host, check, _ := strings.Cut(what, "/")
	next := *w.catalog
	next.Hosts = slices.Clone(w.catalog.Hosts)
	for i := range next.Hosts {
		h := &next.Hosts[i]
		h.Checks = slices.Clone(h.Checks)
		for k := range h.Checks {
			if (host == "*" || host == h.Name) && (check == "*" || check == h.Checks[k].Name) {
				h.Checks[k].Except = slices.Sorted(slices.Values(regions))
			}
		}
	}
	catalog.Seal(&next)
	w.catalog = &next
	w.give(judge.Input{Catalog: &next})
}

// eachPath calls do for the paths to HOST/CHECK (either may be *) from the given regions, vantages and families, or
// from all.
func (w *world) eachPath(what string, from []string, do func(path)) {
	host, check, _ := strings.Cut(what, "/")
	host = w.called(host)
	for _, h := range w.catalog.Hosts {
		for _, c := range h.Checks {
			for _, a := range w.agents {
				for _, f := range h.FamiliesOf(&c) {
					if (host == "*" || host == h.Name) && (check == "*" || check == c.Name) && a.is(from) &&
						isFamily(f, from) {
						do(path{a.place, h.Key(), c.Name, f})
					}
				}
			}
		}
	}
}

// is reports whether one of the words is the agent or its region, or all words are families.
func (a *agent) is(words []string) bool {
	named := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "ipv4" || w == "ipv6" })
	return len(named) == 0 || slices.Contains(named, a.region) || slices.Contains(named, a.place)
}

func isFamily(f mesh.Family, words []string) bool {
	named := slices.Contains(words, "ipv4") || slices.Contains(words, "ipv6")
	return !named || slices.Contains(words, f.String())
}

func (w *world) eachAgent(words []string, do func(*agent)) {
	for _, a := range w.agents {
		if a.is(words) {
			do(a)
		}
	}
}

// give stores a message on the stream and passes those on to the judge that the stream's clock can date. A tick carries
// the leader's mark.
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
		w.apply(received(dated[i], at))
	}
	if due {
		w.give(judge.Input{})
	}
}

// received returns a message as a reader of the stream sees it that was stored at a given time: an agent's times are
// sent as ages.
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
	for _, entries := range [][]mesh.GossipEntry{b.Gossip.Acks, b.Gossip.Dead} {
		for i := range entries {
			entries[i].At = entries[i].At.Add(off)
		}
	}
	in.Batch = &b
	return in
}

// apply passes a message to the judge and runs the rounds that it asks for.
func (w *world) apply(in judge.Input) {
	w.inputs = append(w.inputs, in)
	out := w.judge.Step(in)
	w.published = append(w.published, out.Transitions...)
	for _, ask := range out.Asks {
		h := w.catalog.Host(mesh.Key(w.called(ask.Host)))
		w.asked[ask.Host]++
		countExtra(w, h)
		for _, a := range w.agents {
			for i := range h.Checks {
				for _, family := range h.FamiliesOf(&h.Checks[i]) {
					if a.region != h.Region && !a.silent && !a.deaf {
						w.probe(a, h, &h.Checks[i], family, ask.Round)
					}
				}
			}
		}
	}
}
