// Package incident folds the transitions of public hosts into incidents: what opens one, what extends it and what
// resolves it. The same history always gives the same incidents with the same ids. Begin at Book.Apply.
//
// A transition of a public host to degraded performance, a partial or a major outage opens an incident. Hosts that fail
// together for one cause share it. Every transition of its hosts extends it, until all are operational: then it is
// resolved. A host that fails again within ReopenWithin reopens its incident, so that a service which comes and goes is
// one story. Unknown neither opens an incident nor closes one: it is no outage, and no recovery.
package incident

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// ReopenWithin is how long after an incident was resolved the next outage of its hosts still belongs to it.
	ReopenWithin = 10 * time.Minute
	// UpdatesMax bounds the updates of one incident. Beyond it those in the middle are dropped: how it began and how it
	// goes on matter most.
	UpdatesMax = 200
	// WindowsMax bounds the windows of one host of an incident. Beyond it the oldest are dropped.
	WindowsMax = 200
)

// Incident is what failed, since when, and for how long, and what people say of it. Its times are mesh time, so that
// durations are right whatever the wall clock did; Wall converts them for people.
type Incident struct {
	ID       string    `json:"id"`
	Cause    string    `json:"cause,omitempty"` // shared by hosts that failed together
	State    State     `json:"state"`
	Impact   Impact    `json:"impact"`
	Began    time.Time `json:"began"`              // when the first probe failed
	Opened   time.Time `json:"opened"`             // when it was published
	Updated  time.Time `json:"updated"`            // its latest update
	Resolved time.Time `json:"resolved,omitzero"`  // when all its hosts were operational; zero while it is open
	Hosts    []Host    `json:"hosts"`              // in the order in which they failed
	Updates  []Update  `json:"updates"`            // what was measured, oldest first
	LeftOut  int       `json:"left_out,omitempty"` // updates dropped from the middle
	Reopened int       `json:"reopened,omitempty"` // how often it reopened
	Internal bool      `json:"internal,omitempty"` // its hosts are internal: it exists for operators only
	Over     time.Time `json:"over,omitzero"`      // when all hosts that had an outage worked again; zero before
	Public   time.Time `json:"public,omitzero"`    // from when on the public may see it; zero: once somebody publishes it
	Merged   string    `json:"merged,omitempty"`   // the incident that continues this one

	// What people wrote.
	Said         State     `json:"said,omitempty"`        // the state that they report; "": nobody took it over
	SaidImpact   Impact    `json:"said_impact,omitempty"` // the impact that they report; "": the measured one
	MeasuredThen Impact    `json:"measured_then,omitempty"`
	Titles       []Text    `json:"titles,omitempty"`  // newest first
	Entries      []Entry   `json:"entries,omitempty"` // oldest first
	Tags         []string  `json:"tags,omitempty"`
	Category     string    `json:"category,omitempty"`
	NextUpdate   time.Time `json:"next_update,omitzero"` // when they promised to write again
}

// Host is a host's part in an incident.
type Host struct {
	Name    string      `json:"name"`
	Was     string      `json:"was,omitempty"` // its name when the incident began, if it has another one now
	ID      string      `json:"id,omitempty"`
	Status  mesh.Status `json:"status"` // "": no outage was measured, a person named the host
	Worst   mesh.Status `json:"worst"`
	Windows []Window    `json:"windows"`
	Checks  []Named     `json:"checks,omitempty"` // that a person named
}

// Window is a time during which a check was down, partial or degraded.
type Window struct {
	Check   string       `json:"check"`
	CheckID string       `json:"check_id,omitempty"`
	Verdict mesh.Verdict `json:"verdict"`
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to,omitzero"` // zero while it lasts
}

// host returns the part of a transition's host: by its id, or where one of the two has none by its name.
func (i *Incident) host(t mesh.Transition) *Host {
	n := slices.IndexFunc(i.Hosts, func(h Host) bool {
		if h.ID != "" && t.HostID != "" {
			return h.ID == t.HostID
		}
		return mesh.Key(h.Name) == mesh.Key(t.Host)
	})
	if n < 0 {
		return nil
	}
	return &i.Hosts[n]
}

// Only returns the part of the incident that concerns the hosts with these keys, as a copy: what the public may read,
// if the hosts are those that are public. It is nil if it concerns none of them.
func (i *Incident) Only(hosts []string) *Incident {
	if i.Internal {
		return nil
	}
	return part(i, hosts)
}

// WithoutChecks returns the incident without what was measured of some checks, as a copy; nil if that was all of it.
func WithoutChecks(i *Incident, hidden func(host, check string) bool) *Incident {
	out := *i
	out.Hosts = nil
	for _, h := range i.Hosts {
		measured, named := len(h.Windows) > 0, len(h.Checks) > 0
		h.Windows = slices.DeleteFunc(slices.Clone(h.Windows), func(w Window) bool { return hidden(h.Name, w.Check) })
		h.Checks = slices.DeleteFunc(slices.Clone(h.Checks), func(c Named) bool { return hidden(h.Name, c.Name) })
		if (measured || named) && len(h.Windows)+len(h.Checks) == 0 {
			continue
		}
		out.Hosts = append(out.Hosts, h)
	}
	if len(out.Hosts) == 0 {
		return nil
	}
	out.Updates = nil
	for _, u := range i.Updates {
		if part, ok := u.without(func(p Update) bool { return hidden(p.Host, p.Check) }); ok {
			out.Updates = append(out.Updates, part)
		}
	}
	return &out
}

// part is Only for operators too.
func part(i *Incident, hosts []string) *Incident {
	others := func(name string) bool { return !slices.Contains(hosts, mesh.Key(name)) }
	out := *i
	out.Entries = slices.DeleteFunc(slices.Clone(i.Entries), func(e Entry) bool { return e.Hidden })
	out.Hosts = slices.DeleteFunc(slices.Clone(i.Hosts), func(h Host) bool { return others(h.Name) })
	out.Updates = nil
	for _, u := range i.Updates {
		if part, ok := u.without(func(p Update) bool { return others(p.Host) }); ok {
			out.Updates = append(out.Updates, part)
		}
	}
	if len(out.Hosts) == 0 {
		return nil
	}
	if len(out.Hosts) == len(i.Hosts) {
		return &out
	}
	// What is left began, and was as bad, as its own hosts were.
	if out.SaidImpact == "" {
		out.Impact = measuredImpact(&out)
	}
	out.Updated = out.Opened
	if n := len(out.Updates); n > 0 {
		out.Updated = out.Updates[n-1].At
	}
	if n := len(out.Entries); n > 0 {
		out.Updated = later(out.Entries[n-1].At, out.Updated)
	}
	var began time.Time
	for _, h := range out.Hosts {
		if len(h.Windows) > 0 && (began.IsZero() || h.Windows[0].From.Before(began)) {
			began = h.Windows[0].From
		}
	}
	if !began.IsZero() {
		out.Began = began
	}
	return &out
}

// newID makes an id from the time at which an incident was published and the number of its transition at that time. It
// does not contain the name of a host, which may become internal later.
func newID(t mesh.Transition) string {
	n := t.ID[strings.LastIndexByte(t.ID, '-')+1:]
	return strconv.FormatInt(t.Published.UnixMilli(), 36) + "-" + n
}

// apply adds what a transition changes.
func apply(i *Incident, t mesh.Transition) {
	h := i.host(t)
	if h == nil {
		i.Hosts = append(i.Hosts, Host{Name: t.Host, ID: t.HostID})
		h = &i.Hosts[len(i.Hosts)-1]
	}
	h.Name = t.Host // as the catalog spells it now
	// A host that has recovered stays so while its status is unknown; one in an outage stays in the incident.
	if t.To != mesh.StatusUnknown || outage(h.Status) {
		h.Status = t.To
	}
	if outage(t.To) && t.To.Severity() > h.Worst.Severity() {
		h.Worst = t.To
	}
	u := Update{
		ID: t.ID, At: t.Published, Host: t.Host, HostID: t.HostID, Check: t.Check, CheckID: t.CheckID,
		Was: t.Was, Verdict: t.Verdict, Body: t.Sentence, Offset: t.Offset,
		Began: t.Began, Cause: t.Cause, Bad: t.Tally.Bad, Voters: t.Tally.Voters, Maintenance: t.Maintenance,
	}
	if t.Verdict == mesh.Up {
		u.Lasted = h.failedFor(t)
	}
	if !i.Open() && outage(t.To) { // it reopens: between its last window and this failure everything worked
		u.WorkedFrom = lastEnd(i)
		i.Reopened++
		if i.TakenOver() {
			i.Said = Investigating
		}
	}
	h.updateWindows(t)
	if t.Began.Before(i.Began) {
		i.Began = t.Began
	}
	settle(i, t.Published)
	_, ongoing := i.Measured()
	u.State, u.Over = i.State, !ongoing
	addUpdate(i, u)
}

// worst is the worst status that any host had during the incident, or "" if none had an outage.
func worst(i *Incident) (worst mesh.Status) {
	for _, h := range i.Hosts {
		if h.Worst.Severity() > worst.Severity() {
			worst = h.Worst
		}
	}
	return worst
}

// Wall converts one of the incident's times to the wall clock's, with the offset of the first update that is not before
// it: that is what the clock showed when the time was published.
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

// over reports whether the host has recovered. During a maintenance its checks show that, as its status does not.
func (h *Host) over() bool {
	open := func(w Window) bool { return w.To.IsZero() }
	return h.Status == mesh.Operational || h.Status == mesh.UnderMaintenance && !slices.ContainsFunc(h.Windows, open)
}

// failing reports whether the check of a transition has failed until now.
func failing(i *Incident, t mesh.Transition) bool {
	h := i.host(t)
	return h != nil && slices.ContainsFunc(h.Windows, func(w Window) bool { return w.To.IsZero() && w.of(t) })
}

func addUpdate(i *Incident, u Update) {
	i.Updated = later(u.At, i.Updated)
	if n := len(i.Updates); n > 0 && i.Updates[n-1].absorb(u) {
		return
	}
	i.Updates = append(i.Updates, u)
	if len(i.Updates) > UpdatesMax {
		dropUpdate(i)
	}
}

func dropUpdate(i *Incident) {
	i.Updates = slices.Delete(i.Updates, UpdatesMax/2, UpdatesMax/2+1)
	i.LeftOut++
}

// updateWindows closes the windows that a transition ends, and opens the one that it begins. An operational host has no
// open windows, whatever its checks that are not critical do.
func (h *Host) updateWindows(t mesh.Transition) {
	for n := range h.Windows {
		w := &h.Windows[n]
		if w.To.IsZero() && (w.of(t) || t.To == mesh.Operational) {
			w.To = later(t.Began, w.From)
		}
	}
	if t.To == mesh.Operational || t.Verdict != mesh.Down && t.Verdict != mesh.Partial && t.Verdict != mesh.Degraded {
		return
	}
	h.Windows = append(h.Windows, Window{Check: t.Check, CheckID: t.CheckID, Verdict: t.Verdict, From: t.Began})
	if len(h.Windows) > WindowsMax {
		h.Windows = h.Windows[1:]
	}
}

// close ends the open windows of a host that is no longer public.
func (h *Host) close(at time.Time) {
	for n := range h.Windows {
		if w := &h.Windows[n]; w.To.IsZero() {
			w.To = later(at, w.From)
		}
	}
	h.Status = mesh.Operational
}

// later returns the later of two times: a window must not end before it began.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// of reports whether the window is of the transition's check.
func (w *Window) of(t mesh.Transition) bool {
	if w.CheckID != "" && t.CheckID != "" {
		return w.CheckID == t.CheckID
	}
	return w.Check == t.Check
}

// RenameHost gives the host with the id another name, and another id where the catalog has another one. Sentences keep
// the name under which they were published.
func (i *Incident) RenameHost(id, now, name string) {
	for n := range i.Hosts {
		if h := &i.Hosts[n]; h.ID == id {
			if h.Was == "" {
				h.Was = h.Name
			}
			if h.ID, h.Name = now, name; mesh.Key(h.Was) == mesh.Key(name) {
				h.Was = ""
			}
		}
	}
	for n := range i.Updates {
		i.Updates[n].each(func(u *Update) {
			if u.HostID == id {
				u.HostID, u.Host = now, name
			}
		})
	}
}

// RenameCheck is RenameHost for a check.
func (i *Incident) RenameCheck(id, now, name string) {
	for n := range i.Hosts {
		checks := i.Hosts[n].Checks
		for k := range checks {
			if c := &checks[k]; c.ID == id {
				c.ID, c.Name = now, name
			}
		}
		windows := i.Hosts[n].Windows
		for k := range windows {
			if w := &windows[k]; w.CheckID == id {
				w.CheckID, w.Check = now, name
			}
		}
	}
	for n := range i.Updates {
		i.Updates[n].each(func(u *Update) {
			if u.CheckID == id {
				u.CheckID, u.Check = now, name
			}
		})
	}
}

// each calls do for the update and those that followed it at once.
func (u *Update) each(do func(*Update)) {
	do(u)
	for n := range u.With {
		do(&u.With[n])
	}
}
