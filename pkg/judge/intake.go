package judge

import (
	"cmp"
	"slices"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// intake applies batches: to the vantage that sent them, and to its edges.
type intake struct {
	env      *environment
	mesh     *topology
	rounds   *rounds
	verdicts *verdicts
	gossip   *gossip
	ignored  uint64

	// Scratch space of one batch, kept to spare allocations.
	places  []int // of its observations, in the order in which they began
	changes []edgeChange
}

// edgeChange is an edge whose observation changed, or one that a round waits for.
type edgeChange struct {
	edge    *edge
	before  mesh.Outcome
	verdict mesh.Verdict // of its check, before the batch
}

func newIntake(env *environment, m *topology, r *rounds, v *verdicts) *intake {
	return &intake{env: env, mesh: m, rounds: r, verdicts: v, gossip: &gossip{env: env, mesh: m, rounds: r}}
}

// batch applies what one agent reports. It is the agent's heartbeat, too.
func (in *intake) batch(b *mesh.Batch) {
	v := in.mesh.senders[b.Agent]
	if v == nil || !v.enrolled {
		in.ignored++
		return
	}
	if b.History() {
		in.history(v, b)
		return
	}
	counted, abstained := v.counts(), v.abstains(in.env) != ""
	accepted := v.identity.accept(in.env, b, v.heardAt)
	if accepted {
		in.env.agentHeard = true
		v.setReport(in.env, b)
	} else {
		in.ignored++
	}
	// A vantage that joins, or begins or ends to abstain, changes the votes of every check that it observes, and what
	// others are compared with. Evaluate that before its observations, so that they are judged by the new state.
	if counted != v.counts() || abstained != (v.abstains(in.env) != "") {
		in.verdicts.settleAll()
	}
	if !accepted {
		return
	}
	in.changes = append(in.changes, in.gossip.apply(v, b)...)
	names := in.mesh.names.of(b.Revision)
	for _, i := range in.inOrder(b.Observations) {
		in.observe(v, b, names, &b.Observations[i])
	}
	in.settle()
}

// inOrder returns the places of the observations in the order in which they began: a probe that takes long is reported
// after one that began later.
func (in *intake) inOrder(all []mesh.Observation) []int {
	in.places = in.places[:0]
	sorted := true
	for i := range all {
		in.places = append(in.places, i)
		sorted = sorted && (i == 0 || compareBegan(&all[i-1], &all[i]) <= 0)
	}
	if !sorted {
		slices.SortStableFunc(in.places, func(a, b int) int { return compareBegan(&all[a], &all[b]) })
	}
	return in.places
}

// compareBegan orders observations by when they began, a first miss before the outcome of the same probe.
func compareBegan(a, b *mesh.Observation) int {
	if c := a.Began.Compare(b.Began); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(b.Stage, a.Stage), cmp.Compare(a.Round, b.Round))
}

// history applies a batch that waited in its agent. It comes late, beside the agent's live batches and perhaps from an
// earlier epoch, so it is no heartbeat and says nothing of how the agent is now. One that comes twice changes nothing.
func (in *intake) history(v *vantage, b *mesh.Batch) {
	names := in.mesh.names.of(b.Revision)
	for i := range b.Observations {
		o := &b.Observations[i]
		e := v.edges[names.target(o)]
		if e != nil && o.Stage == mesh.Settled && in.mesh.answersQuestion(b, e.check) {
			e.history.add(withoutFormerExpiry(in.env, e.check, o))
		}
	}
}

// observe applies one observation, and records what must be evaluated when the whole batch is applied. One that changes
// nothing costs a look-up and a few comparisons: nearly all are of this kind.
func (in *intake) observe(v *vantage, b *mesh.Batch, names *translation, o *mesh.Observation) {
	e := v.edges[names.target(o)]
	if e == nil || !in.mesh.answersQuestion(b, e.check) {
		in.ignored++
		return
	}
	c := e.check
	if c.rounds.latest() != nil {
		c.rounds.noteAnswer(o.Round)
	}
	replayed, reported := b.Replayed(*o), o
	o = withoutFormerExpiry(in.env, c, o)
	if o.Stage == mesh.Missed {
		if !replayed && o.Began.After(e.began) && o == reported {
			in.miss(e, o)
		}
		return
	}
	e.history.add(o)
	if replayed || !e.isNews(o) {
		return
	}
	c.use(e)
	before := e.outcome
	changed := e.unseen() || before.Good() != o.Outcome.Good() || before != o.Outcome && !before.Good() || e.missed
	e.apply(in.env, o)
	if changed || c.rounds.current != nil || c.verdict != mesh.Up {
		in.changes = append(in.changes, edgeChange{e, before, c.verdict})
	}
}

// miss records an edge's first miss. A miss is not a vote; it requests a round. A vantage in the host's own region
// never votes, but its miss requests a round too: otherwise a failure just before its probe waits for the next
// region's.
func (in *intake) miss(e *edge, o *mesh.Observation) {
	if !e.bad() && !e.missed {
		e.missedAt = o.Began
	}
	// A round that is open is about this failure, unless the edge itself had answered it before.
	r := e.check.rounds.latest()
	covered := r != nil && !e.answered(r)
	e.missed = true
	if e.check.verdict == mesh.Down || e.bad() || covered {
		return
	}
	in.rounds.requestFor(e, edgeMissed, mesh.Bad, o.Began, in.env.now)
}

// settle evaluates the checks that a batch changed, after all of it was applied: the order of its observations must not
// matter.
func (in *intake) settle() {
	if len(in.changes) == 0 {
		return
	}
	isolated := false
	for _, change := range in.changes {
		for _, e := range change.edge.check.edges {
			// An observation of the check may isolate any vantage that observes it, or end that.
			isolated = e.vantage.isolate(in.env) || isolated
		}
	}
	if isolated {
		in.verdicts.settleAll()
	}
	for i, change := range in.changes {
		c := change.edge.check
		if !slices.ContainsFunc(in.changes[:i], func(o edgeChange) bool { return o.edge.check == c }) {
			in.verdicts.evaluate(c)
			in.verdicts.evaluatePings(c)
		}
	}
	// Requests come after all evaluations: a check that has just turned needs no round.
	for _, change := range in.changes {
		in.requestAfter(change)
		in.verdicts.publishStatus(change.edge.check.host)
	}
	in.changes = in.changes[:0]
}

// requestAfter requests a round if the edge's observation may turn its check.
func (in *intake) requestAfter(change edgeChange) {
	e, c := change.edge, change.edge.check
	if c.verdict != change.verdict {
		return // it has turned
	}
	// A failure that began after a round opened is not the one that the round was opened for.
	began := e.began
	if e.bad() {
		began = e.missedAt
	}
	if r := c.rounds.latest(); r != nil && (e.round > 0 || !began.After(r.opened)) {
		return
	}
	turnedBad := e.bad() && change.before != mesh.Unreachable
	turnedGood := c.verdict == mesh.Down && e.outcome.Good() && !change.before.Good()
	switch {
	case turnedBad && c.verdict != mesh.Down && e.round == 0:
		in.rounds.requestFor(e, edgeFailed, mesh.Bad, e.began, in.env.now)
	case turnedGood:
		in.rounds.requestFor(e, edgeMissed, mesh.OK, e.began, in.env.now)
	}
}
