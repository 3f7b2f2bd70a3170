package judge

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// environment is what the decisions of a step depend on besides catalog and observations. Step sets it, and everybody
// else reads it.
type environment struct {
	rule     catalog.Rule
	now      time.Time     // mesh time
	offset   time.Duration // mesh time less the wall clock
	sequence uint64        // of the input

	// gapEnd is when the stream resumed after a silence, or the judge began. Nobody could send votes during the
	// silence, so verdicts stand for a freshness period from then: see check.inGracePeriod.
	gapEnd     time.Time
	agentHeard bool // since gapEnd

	// halfSilent reports that half or more of the regions are silent at once: the cause may be the coordinator's own
	// network.
	halfSilent bool
}

// advance takes over the time and sequence of the next input. Mesh time never goes back.
func (env *environment) advance(in Input) {
	// Consecutive gaps without a batch between them are one silence. If each began a grace period, a mesh without
	// agents would hold its verdicts for ever.
	if gap := in.At.Sub(env.now) > env.rule.Silence; gap && env.agentHeard || env.now.IsZero() {
		env.gapEnd, env.agentHeard = in.At, false
	}
	if in.At.After(env.now) {
		env.now = in.At
	}
	env.sequence, env.offset = in.Sequence, in.Offset
}

// wallClock formats a mesh time as people read it.
func (env *environment) wallClock(at time.Time, layout string) string {
	return at.Add(-env.offset).UTC().Format(layout)
}
