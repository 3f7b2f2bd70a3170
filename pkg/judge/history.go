package judge

import (
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// history is what an edge saw over time: since when it has been good or bad. Unlike the vote it includes observations
// that waited in the agent while it could not publish, so that a failure which began during that time has its true
// beginning.
type history struct {
	run      mesh.Outcome // good runs are Reachable, bad ones Unreachable; inconclusive observations break no run
	since    time.Time
	turned   time.Time // the first observation of the run that came in order; late ones may have moved since before it
	before   earlierRun
	lastGood time.Time
	lastBad  time.Time
}

// earlierRun is the latest run from before the present one, as late observations show it.
type earlierRun struct {
	run         mesh.Outcome
	since, last time.Time
}

// add records an observation. One from before the newest goes to addLate.
func (h *history) add(o *mesh.Observation) {
	run, last := mesh.Unreachable, &h.lastBad
	switch {
	case o.Outcome == mesh.Inconclusive:
		return
	case o.Outcome.Good():
		run, last = mesh.Reachable, &h.lastGood
	}
	newest := h.lastGood
	if h.lastBad.After(newest) {
		newest = h.lastBad
	}
	if o.Began.Before(newest) {
		h.addLate(run, o)
		return
	}
	if h.run != run {
		h.run, h.since, h.turned, h.before = run, o.Began, o.Began, earlierRun{}
	}
	*last = o.Began
}

// addLate records an observation from before the present run. Late observations come oldest first. The run began
// earlier if those before it agree without a break. A known break remains one: a batch that the stream holds twice must
// not bridge it.
func (h *history) addLate(run mesh.Outcome, o *mesh.Observation) {
	ended := h.lastGood // when the run before this one ended
	if h.run.Good() {
		ended = h.lastBad
	}
	if !o.Began.Before(h.turned) || o.Began.Before(h.before.last) || !o.Began.After(ended) {
		return
	}
	if h.before.run != run {
		h.before.run, h.before.since = run, o.Began
	}
	h.before.last = o.Began
	h.since = h.turned
	if run == h.run {
		h.since = h.before.since
	}
}
