// Package status decides what is published: the status of a host, from the verdicts of its checks (Of), and when a
// verdict may leave down or is withheld because it changes too often (rule 7: Next, Published and Flap). Each of the
// three is a table.
package status

import "github.com/probemesh/probemesh/pkg/mesh"

// Check is one check's part in its host's status.
type Check struct {
	Verdict  mesh.Verdict
	Critical bool
	LeftOut  bool // no vantage may run it, so it shows nothing about the host
	Covered  bool // a maintenance covers it: whatever its verdict, that is no outage
}

// part is what one check contributes to its host's status.
type part uint8

const (
	works part = iota
	degraded
	unknown
	unknownMinor // counts only where the host has no critical check
	partial
	down
	nothing // not counted at all
	parts
)

// contributions is the first half of a host's status: what a check with this verdict contributes. A check that is not
// critical never makes an outage.
var contributions = map[mesh.Verdict]struct{ critical, minor part }{
	mesh.Up:       {works, works},
	mesh.Degraded: {degraded, degraded},
	mesh.Partial:  {partial, degraded},
	mesh.Unknown:  {unknown, unknownMinor},
	mesh.Down:     {down, degraded},
	mesh.Pending:  {nothing, nothing},
}

// count is how many checks of a host count, how many of those are critical, and how many contribute each part.
type count struct {
	counted, critical, covered int
	of                         [parts]int
}

func (n count) allCriticalDown() bool  { return n.critical > 0 && n.of[down] == n.critical }
func (n count) onlyMinorUnknown() bool { return n.critical == 0 && n.of[unknownMinor] > 0 }

// statuses is the second half: the first row that holds decides.
var statuses = []struct {
	when   string
	status mesh.Status
	holds  func(count) bool
}{
	{"nothing counts", mesh.StatusUnknown, func(n count) bool { return n.counted == 0 }},
	{"all critical checks down", mesh.MajorOutage, count.allCriticalDown},
	{"a critical check down", mesh.PartialOutage, func(n count) bool { return n.of[down] > 0 }},
	{"a critical check partial", mesh.PartialOutage, func(n count) bool { return n.of[partial] > 0 }},
	{"a critical check unknown", mesh.StatusUnknown, func(n count) bool { return n.of[unknown] > 0 }},
	{"none critical, one unknown", mesh.StatusUnknown, count.onlyMinorUnknown},
	{"a check degraded", mesh.DegradedPerformance, func(n count) bool { return n.of[degraded] > 0 }},
	{"a check under maintenance", mesh.UnderMaintenance, func(n count) bool { return n.covered > 0 }},
	{"otherwise", mesh.Operational, func(count) bool { return true }},
}

// Of returns the status of a host with these checks. Pending checks and those left out do not count; a host without any
// check that counts is unknown, never operational. Checks that a maintenance covers make no outage and hide none: what
// the others show is worse than under maintenance, unless all of them work. They still count as critical, so that an
// outage of the others is not taken for one of the whole host.
func Of(checks []Check) mesh.Status {
	var n count
	for _, c := range checks {
		contributes := contributions[c.Verdict]
		if c.Covered {
			n.counted++
			n.covered++
			if c.Critical {
				n.critical++
			}
			continue
		}
		if c.LeftOut || contributes.critical == nothing {
			continue
		}
		n.counted++
		if c.Critical {
			n.critical++
			n.of[contributes.critical]++
		} else {
			n.of[contributes.minor]++
		}
	}
	for _, row := range statuses {
		if row.holds(n) {
			return row.status
		}
	}
	return mesh.StatusUnknown // unreachable: the last row always holds
}
