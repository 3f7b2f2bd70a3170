// Package judge decides, from the stream of observations alone, what is true of every check and host. It is a replay: the
// only input is the stream, its only clock mesh time, so that every coordinator, a simulation, a test and a
// restart reach the same verdicts. Make one with New, feed it with Step, look at it with Snapshot.
package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Input is one message of the stream: a batch, a new catalog, a new roster, or, where all three are nil, a tick.
type Input struct {
	Sequence uint64        // the stream's sequence
	At       time.Time     // mesh time
	Offset   time.Duration // mesh time less the wall clock, for texts that people read
	Batch    *mesh.Batch
	Catalog  *catalog.Catalog
	Roster   *mesh.Roster
}

// Output is what one step decided: what to publish, and whom to ask to look now.
type Output struct {
	Transitions []mesh.Transition
	Asks        []mesh.Ask
}

// Standing is what the ledger holds of one check.
type Standing struct {
	Host     string // the host's key
	Check    string
	Verdict  mesh.Verdict
	Since    time.Time
	Rule     string
	Sentence string
	Cause    string
	Tally    mesh.Tally
}

// Start is where a judge begins: the catalog and roster in force, the verdicts as the ledger holds them, and when vantages were
// heard last: one that fell silent before the stream's last minutes is part of the mesh all the same, or a mesh of three regions
// would be one of two after a restart.
type Start struct {
	Catalog   *catalog.Catalog
	Roster    *mesh.Roster
	Standings []Standing
	Heard     map[string]time.Time // by vantage's key, see HeardIn
}

// HeardIn tells from the votes of what was published when each vantage was heard last.
func HeardIn(published []mesh.Transition) map[string]time.Time {
	heard := map[string]time.Time{}
	for _, t := range published {
		for _, v := range t.Votes {
			for _, e := range v.Edges {
				if e.At.After(heard[e.Vantage]) {
					heard[e.Vantage] = e.At
				}
			}
		}
	}
	return heard
}

// Judge holds what is known of every edge, check and host. It is not safe for concurrent use: one goroutine owns it.
type Judge struct {
	catalog  *catalog.Catalog
	rule     catalog.Rule
	regions  []string
	vantages map[string]*vantage
	order    []*vantage // by name
	hosts    []*host
	byKey    map[string]*host
	enrolled map[string]bool

	now       time.Time
	offset    time.Duration // of now less the wall clock
	sequence  uint64
	heard     bool           // an agent was heard since gapEnd
	gapEnd    time.Time      // when the stream spoke again after a silence; verdicts hold for a freshness period from then
	catalogs  int            // how many there were
	revisions map[string]int // the place of each in their order
	revised   time.Time      // when the catalog came into force
	budget    float64        // probes a second that rounds may take beside the scheduled ones
	counted   int            // vantages that are part of the mesh
	// halfSilent says that half or more of the regions are silent at once: it may be us.
	halfSilent bool
	issued     int // transitions of this step, for their ids
	held       []*check
	places     []int   // of a batch's observations, in their order
	turns      []turn  // of the batch that is being taken
	requested  []*host // those with a request for a round
	falls      []fall  // of the last CutWithin
	ignored    uint64
}

// New is a judge that holds what Start says.
func New(s Start) *Judge {
	j := &Judge{vantages: map[string]*vantage{}, byKey: map[string]*host{}, enrolled: map[string]bool{}, revisions: map[string]int{}}
	if s.Roster != nil {
		j.setRoster(s.Roster)
	}
	if s.Catalog != nil {
		j.setCatalog(s.Catalog)
	}
	for key, at := range s.Heard {
		if v := j.vantages[key]; v != nil {
			v.last = at
		}
	}
	j.Restore(s.Standings)
	return j
}

// Restore takes the verdicts that the ledger holds, and publishes nothing: what is in the ledger was said. What the judge
// knows of edges stays.
func (j *Judge) Restore(standings []Standing) {
	for _, s := range standings {
		if h := j.byKey[s.Host]; h != nil {
			if c := h.check(s.Check); c != nil {
				c.restore(s)
			}
		}
	}
	for _, h := range j.hosts {
		h.restore()
	}
}

// Step takes the next message of the stream and returns what follows from it. Messages come in the stream's order; a
// timestamp before the one before counts as the same moment.
func (j *Judge) Step(in Input) Output {
	var out Output
	j.advance(in)
	switch {
	case in.Catalog != nil:
		j.setCatalog(in.Catalog)
		j.revised = j.now
		j.settleAll(&out)
	case in.Roster != nil:
		j.setRoster(in.Roster)
		j.settleAll(&out)
	case in.Batch != nil:
		j.batch(in.Batch, &out)
	default:
		j.settleAll(&out)
	}
	j.release(&out)
	j.openRounds(&out)
	return out
}

func (j *Judge) advance(in Input) {
	// One gap after another, with no agent heard between them, is one silence: it does not hold verdicts for ever.
	if gap := in.At.Sub(j.now) > j.rule.Silence; gap && j.heard || j.now.IsZero() {
		j.gapEnd, j.heard = in.At, false
	}
	if in.At.After(j.now) {
		j.now = in.At
	}
	j.sequence, j.offset, j.issued = in.Sequence, in.Offset, 0
}

// clock is a mesh time as people read it: by the wall clock.
func (j *Judge) clock(at time.Time, layout string) string {
	return at.Add(-j.offset).UTC().Format(layout)
}

// Busy reports whether a round is open or due or a fall is held, so that the leader ticks every 250 ms instead of every 2 s.
func (j *Judge) Busy() bool {
	if len(j.held) > 0 || len(j.requested) > 0 {
		return true
	}
	return slices.ContainsFunc(j.hosts, (*host).asked)
}

// Ignored counts observations and batches that were not this judge's to hear: of strangers, of checks that nobody asked them
// to look at, and repeats.
func (j *Judge) Ignored() uint64 { return j.ignored }

// settleAll goes over every check: what expired, what is silent, which rounds end or are due.
func (j *Judge) settleAll(out *Output) {
	for _, v := range j.order {
		v.silent = v.heard() && j.now.Sub(v.last) > j.rule.Silence && j.now.Sub(j.gapEnd) > j.rule.Silence
	}
	for _, v := range j.order {
		j.isolate(v)
	}
	j.countSilent()
	for _, h := range j.hosts {
		for _, c := range h.checks {
			j.evaluate(c, out)
		}
		j.settleHost(h, out)
	}
}

// countSilent works out whether half or more of the regions are silent at once.
func (j *Judge) countSilent() {
	heard, speaking := map[string]bool{}, map[string]bool{}
	j.counted = 0
	for _, v := range j.order {
		if v.counts() {
			j.counted++
			heard[v.region] = true
			speaking[v.region] = speaking[v.region] || !v.silent
		}
	}
	silent := 0
	for region := range heard {
		if !speaking[region] {
			silent++
		}
	}
	j.halfSilent = silent > 0 && float64(silent) >= j.rule.SilentShare*float64(len(heard))
}

// stands reports whether the check's verdict holds because the judge or the stream began anew: rule 2 asks for fresh votes, and
// nobody could send any.
func (j *Judge) stands(c *check) bool {
	return j.now.Before(j.gapEnd.Add(j.rule.Freshness(*c.config)))
}

// standing reports the same of a check with a verdict that is worth holding.
func (j *Judge) standing(c *check) bool {
	return c.verdict != mesh.Pending && c.verdict != mesh.Unknown && j.stands(c)
}

// few reports whether fewer regions were heard yet than the verdict was made of, as the ledger tells, and might be.
func (j *Judge) few(c *check, t mesh.Tally) bool {
	if t.Regions >= c.madeOf || !j.standing(c) {
		return false
	}
	possible := 1
	for i := range c.ballots {
		if b := &c.ballots[i]; !b.own && slices.ContainsFunc(b.edges, func(e *edge) bool { return e.vantage.enrolled }) {
			possible++
		}
	}
	return t.Regions < min(c.madeOf, possible)
}
