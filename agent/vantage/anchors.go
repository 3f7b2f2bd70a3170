package vantage

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/edge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// anchorAgain is how old the last look at an anchor must be before a miss elsewhere has it looked at out of turn.
const anchorAgain = 2 * time.Second

// anchors plans the looks at the anchors of this vantage's region. They tell of this machine and not of a host, which is why
// their duties have a host without a name.
func (v *vantage) planAnchors(c *catalog.Catalog) []schedule.Duty {
	region := c.Region(v.region)
	if region == nil {
		return nil
	}
	duties := make([]schedule.Duty, len(region.Anchors))
	for i, anchor := range region.Anchors {
		address, check := catalog.Anchor(anchor)
		host := &catalog.Host{Addresses: []string{address}}
		duties[i] = schedule.Duty{
			Host: host, Check: &check, Family: host.Families()[0], Address: address, Interval: check.Interval,
			Phase: check.Interval * time.Duration(i) / time.Duration(len(region.Anchors)),
		}
	}
	return duties
}

func (d *duty) isAnchor() bool { return d.Host.Name == "" }

// anchorObserved takes what was seen of an anchor, and tells the coordinator at once when the last one fails or the first one
// answers again.
func (v *vantage) anchorObserved(d *duty, o mesh.Observation) {
	if o.Stage == mesh.Missed {
		return
	}
	before := v.anchorsFail()
	d.seen = o.Outcome
	if v.anchorsFail() != before {
		v.flushAt = earlier(v.flushAt, time.Now().Add(coalesceDelay))
	}
}

// anchorsFail reports whether there are anchors and none of them can be reached.
func (v *vantage) anchorsFail() bool {
	fail := false
	for _, d := range v.duties {
		if !d.isAnchor() {
			continue
		}
		if d.seen != mesh.Unreachable {
			return false
		}
		fail = true
	}
	return fail
}

// testAnchors looks at the anchors out of turn, because something else was missed: it may be this machine's own network.
func (v *vantage) testAnchors(now time.Time) {
	for _, d := range v.duties {
		if d.isAnchor() && d.look == nil && now.Sub(d.began) >= anchorAgain {
			v.begin(d, now, 0)
		}
	}
}

// newDuty is a duty of which nothing is known.
func newDuty(rule catalog.Rule, plan schedule.Duty) *duty {
	return &duty{Duty: plan, edge: edge.New(rule, *plan.Check)}
}
