package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// vantage is a host seen as a place we look from.
type vantage struct {
	key      string
	region   string
	enrolled bool
	silent   bool
	last     time.Time // its last batch
	batchWindow
	earlier []earlierEpoch
	word    mesh.VantageState
	edges   map[target]*edge
	list    []*edge // the same

	rumours     rumours
	rounds      account // pays for rounds that its edges ask for
	anchorsFail bool
	sharedSince time.Time      // when two agents were first seen to use its identity
	sharedUntil time.Time      // until when it abstains because of that
	bad         [families]int  // its edges whose latest word is bad
	isolated    [families]bool // rule 3
}

// target is what an observation of a vantage is about.
type target struct {
	host, check string
	family      mesh.Family
}

func (v *vantage) heard() bool { return !v.last.IsZero() }

// counts reports whether the vantage is part of the mesh: enrolled, and heard once.
func (v *vantage) counts() bool { return v.enrolled && v.heard() }

// edge is one vantage's view of one check through one family.
type edge struct {
	vantage *vantage
	check   *check
	family  mesh.Family
	spare   bool // it has no part in its check until the vantage's agent speaks on it: see use

	// The latest live word, which is the vote.
	outcome  mesh.Outcome
	reason   string
	address  string
	rtt      time.Duration
	began    time.Time
	ended    time.Time
	missed   bool      // a first miss came, and its retries are under way
	mute     bool      // its ok did not answer a round, and counts for nothing until it looks again
	missedAt time.Time // when the look with the first miss of the present bad run began
	round    uint64    // the round that the latest word answers; zero for a scheduled look
	streak   int       // good looks in a row
	answers  *answers  // the same with their moments, where the edge is no ping and may stand beside one

	// Its history, replayed looks included.
	run      mesh.Outcome // good runs are Reachable, bad ones Unreachable; Inconclusive looks break no run
	since    time.Time
	turned   time.Time // the first look of the run that was told in its turn; since is earlier where history told more
	before   recollection
	lastGood time.Time
	lastBad  time.Time
	loss     float64 // smoothed share of lost probes

	alone *backoff // of rounds that found it alone; nil before it asked for any
}

// recollection is the latest run of what an edge saw before its present run and told after it.
type recollection struct {
	run         mesh.Outcome
	since, last time.Time
}

func (e *edge) never() bool { return e.ended.IsZero() }

// check is what the judge holds of one check of a host.
type check struct {
	host    *host
	config  *catalog.Check
	edges   []*edge // by region and vantage
	spares  []*edge
	ballots []ballot

	verdict   mesh.Verdict // the quorum's
	published mesh.Verdict // the same unless the check flaps
	flap      flap
	heldSince time.Time // when it fell, while it waits for others that may be about to
	heldAs    mesh.Verdict
	since     time.Time
	rule      string
	sentence  string
	tally     mesh.Tally
	from      int       // the place, in the order of catalogs, of the one that first asked this
	madeOf    int       // regions that the verdict was made of, where it comes from the ledger
	madeBy    time.Time // until when the votes that made the verdict are fresh
	positive  bool      // the votes said so themselves at the last look at them
	leftOut   bool

	round      *round           // the one it takes part in until its part is over
	nextRound  *round           // the newest that was opened meanwhile
	looksBadAt time.Time        // when a round last found it looking bad without turning it, or partial while it is not out of down
	findings   []quorum.Finding // of recent rounds in which several regions were bad, oldest first: they may confirm a partial outage
	dissent    []dissent
	// requestedBy names the regions whose votes against the verdict requested the coming round.
	requestedBy []string
}

// host is what the judge holds of one host.
type host struct {
	config  *catalog.Host
	key     string
	checks  []*check
	status  mesh.Status
	since   time.Time
	lastAsk time.Time

	requests  []roundRequest
	rounds    account // pays for rounds that no single vantage asks for
	scheduled float64 // probes a second of its checks

	cause   string // of what is broken: see rule 8
	mourned bool   // gossip holds it dead
}

func (h *host) check(name string) *check {
	i := slices.IndexFunc(h.checks, func(c *check) bool { return c.config.Name == name })
	if i < 0 {
		return nil
	}
	return h.checks[i]
}

// setRoster takes who is enrolled.
func (j *Judge) setRoster(r *mesh.Roster) {
	clear(j.enrolled)
	for _, key := range r.Vantages {
		j.enrolled[key] = true
	}
	for _, v := range j.vantages {
		v.enrolled = j.enrolled[v.key]
	}
}

// setCatalog builds the edges of a catalog and carries over what is known of those that ask the same as before.
func (j *Judge) setCatalog(c *catalog.Catalog) {
	old := j.byKey
	j.catalog, j.rule = c, c.Rule
	j.catalogs++
	j.revisions[c.Revision] = j.catalogs
	j.byKey, j.hosts, j.held, j.requested = map[string]*host{}, nil, nil, nil
	j.setVantages(c)
	probes := 0.0
	for i := range c.Hosts {
		h := j.newHost(&c.Hosts[i])
		h.inherit(old[h.key])
		if len(h.requests) > 0 {
			j.requested = append(j.requested, h)
		}
		j.hosts = append(j.hosts, h)
		j.byKey[h.key] = h
		probes += h.scheduled
	}
	j.budget = probes * j.rule.RoundBudget
}

func (j *Judge) setVantages(c *catalog.Catalog) {
	known := j.vantages
	j.vantages, j.order, j.regions = map[string]*vantage{}, nil, nil
	for _, r := range c.Regions {
		j.regions = append(j.regions, r.Name)
	}
	for i := range c.Hosts {
		key := c.Hosts[i].Key()
		v := known[key]
		if v == nil {
			v = &vantage{key: key}
		}
		v.region, v.enrolled, v.edges, v.list, v.bad = c.Hosts[i].Region, j.enrolled[key], map[target]*edge{}, nil, [families]int{}
		j.vantages[key] = v
		j.order = append(j.order, v)
	}
	slices.SortFunc(j.order, func(a, b *vantage) int { return cmp.Compare(a.key, b.key) })
}

func (j *Judge) newHost(config *catalog.Host) *host {
	h := &host{config: config, key: config.Key(), status: mesh.StatusUnknown}
	for i := range config.Checks {
		c := &check{host: h, config: &config.Checks[i], verdict: mesh.Pending, published: mesh.Pending, from: j.catalogs}
		c.edges = j.newEdges(c)
		c.ballots = newBallots(c, j.regions)
		h.checks = append(h.checks, c)
	}
	h.scheduled = h.scheduledProbes()
	return h
}

func (j *Judge) newEdges(c *check) []*edge {
	var edges []*edge
	for _, key := range schedule.Observers(j.catalog, c.host.config, c.config) {
		v := j.vantages[key]
		for _, family := range c.host.config.FamiliesOf(c.config) {
			edges = append(edges, c.newEdge(v, family))
		}
		c.newSpare(v)
	}
	sortEdges(edges)
	return edges
}

// inherit carries over what is known of a host from before a change of the catalog. A check that asks something else
// starts as pending, unless it was down: then it stays down until votes say otherwise.
func (h *host) inherit(old *host) {
	if old == nil {
		return
	}
	h.mourned = old.mourned
	h.status, h.since, h.lastAsk, h.requests, h.rounds, h.cause = old.status, old.since, old.lastAsk, old.requests, old.rounds, old.cause
	moved := !slices.Equal(h.config.Addresses, old.config.Addresses)
	for _, c := range h.checks {
		was := old.check(c.config.Name)
		if was == nil {
			continue
		}
		same := !moved && was.config.SameQuestion(c.config)
		if same || was.verdict == mesh.Down {
			c.verdict, c.since, c.rule, c.sentence, c.tally, c.madeBy = was.verdict, was.since, was.rule, was.sentence, was.tally, was.madeBy
			c.published, c.flap = was.published, was.flap
		}
		if same {
			c.inheritEdges(was)
		}
	}
}

func (c *check) inheritEdges(was *check) {
	c.round, c.nextRound, c.from = was.round, was.nextRound, was.from
	c.dissent, c.requestedBy = was.dissent, was.requestedBy
	c.findings = was.findings
	for _, e := range slices.Concat(c.edges, c.spares) {
		for _, o := range was.edges {
			if o.vantage.key == e.vantage.key && o.family == e.family {
				v := e.vantage
				c.use(e)
				*e = *o
				e.vantage, e.check = v, c
				if e.bad() {
					v.bad[slot(e.family)]++
				}
			}
		}
	}
}

// restore takes what the ledger held.
func (c *check) restore(s Standing) {
	if !c.flap.flapping || s.Verdict != mesh.Degraded {
		c.verdict = s.Verdict
	}
	c.published, c.since, c.rule, c.sentence, c.tally, c.heldSince = s.Verdict, s.Since, s.Rule, s.Sentence, s.Tally, time.Time{}
	c.madeOf = s.Tally.Regions
	if c.host.cause = s.Cause; !broken(s.Verdict) {
		c.host.acquit()
	}
}

// restore works out the status that follows from the restored checks.
func (h *host) restore() {
	h.status = h.judged()
	for _, c := range h.checks {
		if c.since.After(h.since) {
			h.since = c.since
		}
	}
}
