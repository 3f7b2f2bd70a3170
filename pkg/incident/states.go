package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// State is the progress of an incident, as it is shown. Measurements alone distinguish two of the five, Investigating
// and Resolved; people choose among all of them.
type State string

// The states, which are Statuspage's.
const (
	Investigating State = "investigating"
	Identified    State = "identified"
	Monitoring    State = "monitoring"
	Resolved      State = "resolved"
	Postmortem    State = "postmortem" // resolved, and explained
)

// States are all states, in the order in which an incident passes them.
var States = []State{Investigating, Identified, Monitoring, Resolved, Postmortem}

// Word is the state as people read it.
func (s State) Word() string {
	if s == Postmortem {
		return "post-mortem"
	}
	return string(s)
}

// Ended reports whether the state is that of an incident that is over.
func (s State) Ended() bool { return s == Resolved || s == Postmortem }

// Impact is how bad an incident was at its worst. The values are Statuspage's.
type Impact string

// The impacts.
const (
	None     Impact = "none"
	Minor    Impact = "minor"    // degraded performance
	Major    Impact = "major"    // a partial outage
	Critical Impact = "critical" // a major outage
)

// Impacts are all impacts, from the least to the worst.
var Impacts = []Impact{None, Minor, Major, Critical}

// WorseThan reports whether the impact is the worse one.
func (a Impact) WorseThan(b Impact) bool { return slices.Index(Impacts, a) > slices.Index(Impacts, b) }

// impacts are what a host's status means for its users. A status without one is no outage: an incident neither begins
// nor gets worse with it.
var impacts = map[mesh.Status]Impact{
	mesh.DegradedPerformance: Minor, mesh.PartialOutage: Major, mesh.MajorOutage: Critical,
}

func outage(s mesh.Status) bool { return impacts[s] != "" }

// Open reports whether the incident is not resolved.
func (i *Incident) Open() bool { return !i.State.Ended() }

// TakenOver reports whether a person wrote about the incident: then a person resolves it, not the mesh.
func (i *Incident) TakenOver() bool { return i.Said != "" }

// Measured reports whether the mesh measured an outage of a host of the incident, and whether it lasts.
func (i *Incident) Measured() (measured, ongoing bool) {
	for n := range i.Hosts {
		h := &i.Hosts[n]
		measured = measured || h.Status != ""
		ongoing = ongoing || h.ongoing()
	}
	return measured, ongoing
}

// ongoing reports whether the host had an outage and is not known to be operational again.
func (h *Host) ongoing() bool { return h.Status != "" && !h.over() }

// Failing returns the windows that have not ended, with their hosts' names.
func (i *Incident) Failing() (out []Failing) {
	for _, h := range i.Hosts {
		for _, w := range h.Windows {
			if w.To.IsZero() {
				out = append(out, Failing{h.Name, w})
			}
		}
	}
	return out
}

// Failing is a check of a host that fails now.
type Failing struct {
	Host string
	Window
}

// Proposed returns since when everything works, if the incident waits for a person to resolve it: the mesh proposes
// that. ok is false if it does not.
func (i *Incident) Proposed() (since time.Time, ok bool) {
	return i.Over, i.TakenOver() && i.Open() && !i.Over.IsZero()
}

// Overdue reports whether the promised next update is late.
func (i *Incident) Overdue(now time.Time) bool {
	return i.Open() && !i.NextUpdate.IsZero() && !now.Before(i.NextUpdate)
}

// Shown reports whether the incident is public at a time: it may be published later, or by hand.
func (i *Incident) Shown(now time.Time) bool {
	return !i.Internal && !i.Public.IsZero() && !i.Public.After(now)
}

// settle derives the shown state and impact from what was measured and what people say. An incident that people call
// resolved while one of its checks fails is being monitored until the mesh sees the check work: no outage is hidden.
func settle(i *Incident, at time.Time) {
	measured, ongoing := i.Measured()
	switch {
	case ongoing || !measured:
		i.Over = time.Time{}
	case i.Over.IsZero():
		i.Over = at
	}
	i.Impact = measuredImpact(i)
	// A person's word counts, until the mesh measures worse than when it was given.
	if i.SaidImpact != "" && (!i.Impact.WorseThan(i.MeasuredThen) || i.SaidImpact.WorseThan(i.Impact)) {
		i.Impact = i.SaidImpact
	}
	switch {
	case i.Said.Ended() && len(i.Failing()) > 0:
		i.State = Monitoring
	case i.Said != "":
		i.State = i.Said
	case ongoing:
		i.State = Investigating
	default:
		i.State = Resolved
	}
	switch {
	case i.Open():
		i.Resolved = time.Time{}
	case i.Resolved.IsZero():
		i.Resolved = at
		i.NextUpdate = time.Time{}
	}
}

// measuredImpact is the impact of the worst status that any host had.
func measuredImpact(i *Incident) Impact { return cmp.Or(impacts[worst(i)], None) }
