package vantage

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// Anchors are addresses outside the mesh that are up as a rule. Where none of a vantage's anchors answers, its own
// network has failed, and its region abstains. A duty whose host has no name is an anchor's.

// anchorRetestAfter is how old the latest look at an anchor must be before a miss elsewhere starts another ahead of
// schedule.
const anchorRetestAfter = 2 * time.Second

// planAnchors plans looks at the anchors of the region, spread over their interval.
func planAnchors(c *catalog.Catalog, name string) []schedule.Duty {
	region := c.Region(name)
	if region == nil {
		return nil
	}
	var duties []schedule.Duty
	for i, anchor := range region.Anchors {
		address, check, ok := catalog.Anchor(anchor)
		if !ok {
			continue
		}
		host := &catalog.Host{Addresses: []string{address}}
		duties = append(duties, schedule.Duty{
			Host: host, Check: &check, Family: host.Families()[0], Address: address, Interval: check.Interval,
			Phase: check.Interval * time.Duration(i) / time.Duration(len(region.Anchors)),
		})
	}
	return duties
}

func (d *duty) isAnchor() bool { return d.Host.Name == "" }

// observeAnchor notes an anchor's outcome. The coordinator learns at once when the last anchor fails or the first
// recovers.
func (v *vantage) observeAnchor(d *duty, o mesh.Observation) {
	if o.Stage == mesh.Missed {
		return
	}
	before := v.duties.anchorsFail()
	d.anchor = o.Outcome
	if v.duties.anchorsFail() != before {
		v.flushSoon(time.Now())
	}
}

// anchorsFail reports whether there are anchors and all are unreachable.
func (all duties) anchorsFail() bool {
	fail := false
	for _, d := range all {
		if !d.isAnchor() {
			continue
		}
		if d.anchor != mesh.Unreachable {
			return false
		}
		fail = true
	}
	return fail
}

// testAnchors begins looks at the anchors ahead of schedule, because a probe elsewhere was lost: the cause may be this
// machine's own network, and then the coordinator should know before it counts the loss.
func (v *vantage) testAnchors(now time.Time) {
	for _, d := range v.duties {
		if d.isAnchor() && d.look == nil && now.Sub(d.began) >= anchorRetestAfter {
			v.begin(d, now, 0)
		}
	}
}
