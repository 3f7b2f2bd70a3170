package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// batch takes what one agent says. It is its heartbeat too.
func (j *Judge) batch(b *mesh.Batch, out *Output) {
	v := j.vantages[b.Agent]
	if v != nil && v.enrolled && b.History() {
		j.history(v, b)
		return
	}
	if v == nil || !v.enrolled {
		j.ignored++
		return
	}
	counted, abstained := v.counts(), j.abstains(v)
	if !j.accept(v, b) {
		j.ignored++
		if (abstained == "") != (j.abstains(v) == "") {
			j.settleAll(out)
		}
		return
	}
	j.heard = true
	v.last, v.silent, v.anchorsFail = j.now, false, b.AnchorsFail
	v.word.Version, v.word.Revision, v.word.Connected = b.Version, b.Revision, b.Connected
	v.word.Clock, v.word.Lag, v.word.Queued, v.word.Dropped, v.word.SpoolOff = b.Clock, b.Lag, b.Queued, b.Dropped, b.SpoolOff
	if counted != v.counts() || (abstained == "") != (j.abstains(v) == "") {
		j.settleAll(out)
	}
	j.gossip(v, b)
	for _, i := range j.inOrder(b.Observations) {
		j.observe(v, b, &b.Observations[i])
	}
	j.settleTurns(out)
}

// inOrder lists the places of the observations as they began: a look that ends late is told after one that began later.
func (j *Judge) inOrder(all []mesh.Observation) []int {
	j.places = j.places[:0]
	sorted := true
	for i := range all {
		j.places = append(j.places, i)
		sorted = sorted && (i == 0 || began(&all[i-1], &all[i]) <= 0)
	}
	if !sorted {
		slices.SortStableFunc(j.places, func(a, b int) int { return began(&all[a], &all[b]) })
	}
	return j.places
}

// began orders looks by when they began, a first miss before what came of it.
func began(a, b *mesh.Observation) int {
	if c := a.Began.Compare(b.Began); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(b.Stage, a.Stage), cmp.Compare(a.Round, b.Round))
}

// history takes a batch that waited in its agent: it comes late, beside the agent's present words and perhaps from an earlier life
// of the agent, so it is no heartbeat and says nothing of how the agent is. One that comes twice changes nothing.
func (j *Judge) history(v *vantage, b *mesh.Batch) {
	for i := range b.Observations {
		o := &b.Observations[i]
		if e := v.edges[target{o.Host, o.Check, o.Family}]; e != nil && o.Stage == mesh.Settled && j.answers(b, e.check) {
			e.remember(o)
		}
	}
}

// observe takes one observation, and notes what must be looked at once the whole batch is taken. One that changes nothing costs a
// look-up and a few comparisons.
func (j *Judge) observe(v *vantage, b *mesh.Batch, o *mesh.Observation) {
	e := v.edges[target{o.Host, o.Check, o.Family}]
	if e == nil || !j.answers(b, e.check) {
		j.ignored++
		return
	}
	if e.check.latestRound() != nil {
		e.check.noteAnswer(o.Round)
	}
	if o.Stage == mesh.Missed {
		if !b.Replayed(*o) && o.Began.After(e.began) {
			j.miss(e, o)
		}
		return
	}
	e.remember(o)
	if b.Replayed(*o) || !e.news(o) {
		return
	}
	e.check.use(e)
	was := e.outcome
	changed := e.never() || was.Good() != o.Outcome.Good() || was != o.Outcome && !was.Good() || e.missed
	j.take(e, o)
	if changed || e.check.asked() || e.check.verdict != mesh.Up {
		j.turns = append(j.turns, turn{e, was, e.check.verdict})
	}
}

// news reports whether the observation is the edge's latest word. A look in flight when a round was asked answers it too, so the
// same look may come twice; else a repeat says nothing.
func (e *edge) news(o *mesh.Observation) bool {
	if o.Began.Equal(e.began) {
		return o.Round > e.round
	}
	return o.Began.After(e.began)
}

// answers reports whether the batch's agent was asked what the check asks now: an agent that still works by an earlier catalog
// answers another question. What the first catalog asks everybody may answer.
func (j *Judge) answers(b *mesh.Batch, c *check) bool {
	return c.from <= 1 || j.revisions[b.Revision] >= c.from
}

// take makes the observation the edge's word.
func (j *Judge) take(e *edge, o *mesh.Observation) {
	again, bad := o.Began.Equal(e.began), e.bad()
	if o.Outcome == mesh.Unreachable && !bad && !e.missed {
		e.missedAt = o.Began // its first miss was lost on the way
	}
	e.outcome, e.reason, e.rtt, e.began, e.ended = o.Outcome, o.Reason, o.RTT, o.Began, o.Ended()
	e.address = o.Address
	e.missed, e.mute, e.round = false, false, o.Round
	e.vantage.count(e, bad)
	j.countGood(e, again)
	if o.Sent > 0 {
		const weight = 0.1 // of the latest look
		e.loss += weight * (float64(o.Lost)/float64(o.Sent) - e.loss)
	}
}

// countGood keeps the good looks in a row.
func (j *Judge) countGood(e *edge, again bool) {
	switch {
	case !e.outcome.Good():
		e.streak = 0
		if e.answers != nil {
			e.answers.end()
		}
	case !again:
		e.streak++
		if e.answers != nil {
			e.answers.add(e.began, j.rule.RecoverSuccesses)
		}
	}
}

// count keeps the number of the vantage's bad edges.
func (v *vantage) count(e *edge, wasBad bool) {
	switch {
	case e.bad() && !wasBad:
		v.bad[slot(e.family)]++
	case wasBad && !e.bad():
		v.bad[slot(e.family)]--
	}
}

// remember keeps the edge's runs: since when it is good or bad. Replayed looks count here, so that a failure that began
// while nobody listened has its true beginning.
func (e *edge) remember(o *mesh.Observation) {
	run, last := mesh.Unreachable, &e.lastBad
	switch {
	case o.Outcome == mesh.Inconclusive:
		return
	case o.Outcome.Good():
		run, last = mesh.Reachable, &e.lastGood
	}
	newest := e.lastGood
	if e.lastBad.After(newest) {
		newest = e.lastBad
	}
	if o.Began.Before(newest) {
		e.recall(run, o)
		return
	}
	if e.run != run {
		e.run, e.since, e.turned, e.before = run, o.Began, o.Began, recollection{}
	}
	*last = o.Began
}

// recall takes a look from before the present run that is only told now, oldest first: the run began earlier where what was seen
// before it agrees without a break. A break that is known stays one: a batch that the stream holds twice tells of a time before it.
func (e *edge) recall(run mesh.Outcome, o *mesh.Observation) {
	ended := e.lastGood
	if e.run.Good() {
		ended = e.lastBad
	}
	if !o.Began.Before(e.turned) || o.Began.Before(e.before.last) || !o.Began.After(ended) {
		return
	}
	if e.before.run != run {
		e.before.run, e.before.since = run, o.Began
	}
	e.before.last = o.Began
	e.since = e.turned
	if run == e.run {
		e.since = e.before.since
	}
}

// miss records an edge's first miss. A miss is not a vote; it requests a round. A vantage in the host's own region never
// votes, but its miss requests a round too: otherwise a failure just before its probe waits for the next region's.
func (j *Judge) miss(e *edge, o *mesh.Observation) {
	if !e.bad() && !e.missed {
		e.missedAt = o.Began
	}
	// A round that is open tells of this failure, unless the edge itself had answered it before.
	r := e.check.latestRound()
	told := r != nil && !e.answered(r)
	e.missed = true
	if e.check.verdict == mesh.Down || e.bad() || told {
		return
	}
	j.requestFor(e, edgeMissed, mesh.Bad, o.Began, j.now)
}

// bad reports whether the edge's latest word is bad.
func (e *edge) bad() bool { return !e.never() && e.outcome == mesh.Unreachable }

// asked reports whether a round is under way that this check takes part in.
func (c *check) asked() bool { return c.round != nil }

// turn is an edge's word that changed, or that a round waits for.
type turn struct {
	edge    *edge
	was     mesh.Outcome
	verdict mesh.Verdict // of its check, before it
}

// settleTurns looks at the checks that a batch told of, after all of it was taken: the order in which it tells does not matter.
func (j *Judge) settleTurns(out *Output) {
	if len(j.turns) == 0 {
		return
	}
	isolated := false
	for _, t := range j.turns {
		isolated = j.isolateObservers(t.edge.check) || isolated
	}
	if isolated {
		j.settleAll(out)
	}
	for i, t := range j.turns {
		if c := t.edge.check; !slices.ContainsFunc(j.turns[:i], func(o turn) bool { return o.edge.check == c }) {
			j.evaluate(c, out)
			j.pings(c, out)
		}
	}
	for _, t := range j.turns {
		j.askAfter(t)
		j.settleHost(t.edge.check.host, out)
	}
	j.turns = j.turns[:0]
}

// askAfter asks for a round where the edge's word may turn its check.
func (j *Judge) askAfter(t turn) {
	e, c := t.edge, t.edge.check
	if c.verdict != t.verdict {
		return
	}
	// A failure that began after a round opened is not the one that the round was opened for.
	began := e.began
	if e.bad() {
		began = e.missedAt
	}
	if r := c.latestRound(); r != nil && (e.round > 0 || !began.After(r.opened)) {
		return
	}
	turnedBad := e.bad() && t.was != mesh.Unreachable
	turnedGood := c.verdict == mesh.Down && e.outcome.Good() && !t.was.Good()
	switch {
	case turnedBad && c.verdict != mesh.Down && e.round == 0:
		j.requestFor(e, edgeFailed, mesh.Bad, e.began, j.now)
	case turnedGood:
		j.requestFor(e, edgeMissed, mesh.OK, e.began, j.now)
	}
}

// expires is until when the edge's word counts: rule 2.
func (j *Judge) expires(e *edge) time.Time {
	return e.ended.Add(j.rule.Freshness(*e.check.config))
}
