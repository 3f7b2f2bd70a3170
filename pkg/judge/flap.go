package judge

import (
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// flap is what a check was charged for entering and leaving down: the second half of rule 7.
type flap struct {
	penalty  float64
	at       time.Time
	flapping bool
}

// charge adds the cost of one change.
func (f *flap) charge(r catalog.Rule, now time.Time) {
	f.cool(r, now)
	f.penalty += r.FlapPenalty
	f.flapping = f.flapping || f.penalty > r.FlapOver
}

// cool lets the penalty decay by half every FlapHalfLife.
func (f *flap) cool(r catalog.Rule, now time.Time) {
	if f.penalty == 0 {
		return
	}
	f.penalty *= math.Exp2(-float64(now.Sub(f.at)) / float64(r.FlapHalfLife))
	f.at = now
	if f.penalty < r.FlapUnder {
		f.flapping = false
	}
	if f.penalty < 1 {
		f.penalty = 0
	}
}

const flapping = sentence.Flapping

// damped is the verdict to publish: that of the quorum, but degraded while the check flaps. A down that lasts is no flapping.
func (j *Judge) damped(c *check) mesh.Verdict {
	c.flap.cool(j.rule, j.now)
	if !c.flap.flapping {
		return c.verdict
	}
	lasting := !j.now.Before(c.since.Add(j.rule.FlapDownAfter))
	if c.verdict == mesh.Up || c.verdict == mesh.Down && !lasting {
		return mesh.Degraded
	}
	return c.verdict
}

// damps reports whether the published verdict is not the quorum's.
func (c *check) damps() bool { return c.published != c.verdict }
