// Package status turns the verdicts of a host's checks into the public word for the host.
package status

import "github.com/probemesh/probemesh/pkg/mesh"

// Check is one check's part in its host's status.
type Check struct {
	Verdict  mesh.Verdict
	Critical bool
	LeftOut  bool // no vantage may run it, so that it says nothing of the host
}

// Of is the status of a host with these checks. Pending checks and those left out say nothing; a host of which nothing is
// said is unknown, never operational.
func Of(checks []Check) mesh.Status {
	var critical, criticalDown, broken, unknown, lesser, lesserUnknown, counted int
	for _, c := range checks {
		if c.LeftOut || c.Verdict == mesh.Pending {
			continue
		}
		counted++
		bad := c.Verdict == mesh.Down || c.Verdict == mesh.Partial
		switch {
		case !c.Critical:
			if bad || c.Verdict == mesh.Degraded {
				lesser++
			}
			if c.Verdict == mesh.Unknown {
				lesserUnknown++
			}
			continue
		case c.Verdict == mesh.Down:
			criticalDown++
		case c.Verdict == mesh.Unknown:
			unknown++
		case c.Verdict == mesh.Degraded:
			lesser++
		}
		critical++
		if bad {
			broken++
		}
	}
	switch {
	case counted == 0:
		return mesh.StatusUnknown
	case critical > 0 && criticalDown == critical:
		return mesh.MajorOutage
	case broken > 0:
		return mesh.PartialOutage
	case unknown > 0 || critical == 0 && lesserUnknown > 0:
		return mesh.StatusUnknown
	case lesser > 0:
		return mesh.DegradedPerformance
	}
	return mesh.Operational
}
