// Package incident is the book of incidents: what opens one, what extends it, and what closes it. It is a fold over the
// transitions of public hosts, so that the same history gives the same incidents, under the same ids.
//
// A transition that takes a public host to degraded performance, a partial or a major outage opens an incident. Hosts that fell
// together, for one cause, share it. Whatever is said of its hosts until they are all operational extends it; then it is
// resolved. A host that falls again within ReopenWithin reopens its incident: what comes and goes is one story. Unknown opens
// nothing, since not knowing is no outage, and closes nothing.
package incident

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// ReopenWithin is how long after its end a host's next fall still belongs to an incident.
	ReopenWithin = 10 * time.Minute
	// UpdatesMax bounds the updates of one incident. Past it the ones in the middle are left out.
	UpdatesMax = 200
	// WindowsMax bounds the measured windows of one host of an incident: the latest are kept.
	WindowsMax = 200
)

// Impact is how bad an incident was at its worst, in Statuspage's words.
type Impact string

// The impacts.
const (
	None     Impact = "none"
	Minor    Impact = "minor"    // degraded performance
	Major    Impact = "major"    // a partial outage
	Critical Impact = "critical" // a major outage
)

// State is how far people are with an incident. What is measured knows two of Statuspage's words.
type State string

// The states.
const (
	Investigating State = "investigating"
	Resolved      State = "resolved"
)

// Incident is one story: what failed, since when, and for how long. Its times are mesh time, in which durations are
// right; Wall tells what the wall clock showed.
type Incident struct {
	ID       string    `json:"id"`
	Cause    string    `json:"cause,omitempty"` // what its hosts fell for, together
	State    State     `json:"state"`
	Impact   Impact    `json:"impact"`
	Began    time.Time `json:"began"`              // when the first look saw it
	Opened   time.Time `json:"opened"`             // when it was published
	Updated  time.Time `json:"updated"`            // its latest update
	Resolved time.Time `json:"resolved,omitzero"`  // when all its hosts were seen to be operational; zero before
	Hosts    []Host    `json:"hosts"`              // in the order they fell
	Updates  []Update  `json:"updates"`            // oldest first
	LeftOut  int       `json:"left_out,omitempty"` // updates left out in the middle
}

// Host is a host's part in an incident.
type Host struct {
	Name    string      `json:"name"`
	Status  mesh.Status `json:"status"`
	Worst   mesh.Status `json:"worst"`
	Windows []Window    `json:"windows"`
}

// Window is a measured time in which a check was down, partial or degraded.
type Window struct {
	Check   string       `json:"check"`
	Verdict mesh.Verdict `json:"verdict"`
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to,omitzero"` // zero while it lasts
}

// Update is one thing said of an incident.
type Update struct {
	ID      string        `json:"id"`
	At      time.Time     `json:"at"`
	State   State         `json:"state"`
	Host    string        `json:"host"`
	Check   string        `json:"check,omitempty"`
	Was     mesh.Verdict  `json:"was,omitempty"` // the check's verdict before
	Verdict mesh.Verdict  `json:"verdict,omitempty"`
	Body    string        `json:"body"`
	Offset  time.Duration `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
}

// impacts are what a host's status means for its users. A status without one is no outage: an incident neither begins nor
// gets worse with it.
var impacts = map[mesh.Status]Impact{
	mesh.DegradedPerformance: Minor, mesh.PartialOutage: Major, mesh.MajorOutage: Critical,
}

func outage(s mesh.Status) bool { return impacts[s] != "" }

// Open reports whether the incident goes on.
func (i *Incident) Open() bool { return i.State != Resolved }

func (i *Incident) host(name string) *Host {
	n := slices.IndexFunc(i.Hosts, func(h Host) bool { return h.Name == name })
	if n < 0 {
		return nil
	}
	return &i.Hosts[n]
}

// newID names an incident by the moment it was published and the transition's number in that moment. It tells nothing of the
// host.
func newID(t mesh.Transition) string {
	n := t.ID[strings.LastIndexByte(t.ID, '-')+1:]
	return strconv.FormatInt(t.Published.UnixMilli(), 36) + "-" + n
}

// take adds what the transition says.
func (i *Incident) take(t mesh.Transition) {
	h := i.host(t.Host)
	if h == nil {
		i.Hosts = append(i.Hosts, Host{Name: t.Host})
		h = &i.Hosts[len(i.Hosts)-1]
	}
	if t.To != mesh.StatusUnknown || outage(h.Status) { // a host that was back is not lost again by not being seen
		h.Status = t.To
	}
	if outage(t.To) && t.To.Severity() > h.Worst.Severity() {
		h.Worst = t.To
	}
	h.measure(t)
	i.Impact = cmp.Or(impacts[i.worst()], None)
	if t.Began.Before(i.Began) {
		i.Began = t.Began
	}
	i.State, i.Resolved = Investigating, time.Time{}
	i.settle(t.Published)
	i.say(Update{ID: t.ID, At: t.Published, State: i.State, Host: t.Host, Check: t.Check, Was: t.Was, Verdict: t.Verdict, Body: t.Sentence, Offset: t.Offset})
}

// worst is the worst status that any host had during the incident, or "" if none had an outage.
func (i *Incident) worst() (worst mesh.Status) {
	for _, h := range i.Hosts {
		if h.Worst.Severity() > worst.Severity() {
			worst = h.Worst
		}
	}
	return worst
}

// Wall is what the wall clock showed at one of the incident's times, by the offset when that was published.
func (i *Incident) Wall(at time.Time) time.Time {
	if at.IsZero() || len(i.Updates) == 0 {
		return at
	}
	n := slices.IndexFunc(i.Updates, func(u Update) bool { return !u.At.Before(at) })
	if n < 0 {
		n = len(i.Updates) - 1
	}
	return at.Add(-i.Updates[n].Offset)
}

// settle resolves the incident when all its hosts are operational.
func (i *Incident) settle(at time.Time) {
	if slices.ContainsFunc(i.Hosts, func(h Host) bool { return h.Status != mesh.Operational }) {
		return
	}
	i.State, i.Resolved = Resolved, at
}

func (i *Incident) say(u Update) {
	i.Updated = u.At
	i.Updates = append(i.Updates, u)
	if len(i.Updates) > UpdatesMax {
		i.Updates = slices.Delete(i.Updates, UpdatesMax/2, UpdatesMax/2+1)
		i.LeftOut++
	}
}

// measure opens and closes the windows of the host's checks.
func (h *Host) measure(t mesh.Transition) {
	for n := range h.Windows {
		w := &h.Windows[n]
		if w.To.IsZero() && (w.Check == t.Check || t.To == mesh.Operational) {
			w.To = later(t.Began, w.From)
		}
	}
	if t.Verdict != mesh.Down && t.Verdict != mesh.Partial && t.Verdict != mesh.Degraded {
		return
	}
	h.Windows = append(h.Windows, Window{Check: t.Check, Verdict: t.Verdict, From: t.Began})
	if len(h.Windows) > WindowsMax {
		h.Windows = h.Windows[1:]
	}
}

// end closes what is still open of a host that nobody asks about any more.
func (h *Host) end(at time.Time) {
	for n := range h.Windows {
		if w := &h.Windows[n]; w.To.IsZero() {
			w.To = later(at, w.From)
		}
	}
	h.Status = mesh.Operational
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
