package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// needsWait is how long a message about what needs a host waits for that host, which may be about to fail: longer
	// than a failure that follows still joins the incident.
	needsWait = incident.DependentWithin + time.Second
	// needsSlack is how much earlier than the host that it needs something may seem to have failed: each is probed at its
	// own times.
	needsSlack = time.Minute
	// recoverWithin is how long what needs a host may take to recover after it, before it is a failure of its own.
	recoverWithin = time.Minute
)

// dependencies are the failures of hosts that others need.
type dependencies struct {
	catalog *catalog.Catalog
	outages map[string][]incident.Episode // severe ones, by the host's id, oldest first
}

func newDependencies(c *catalog.Catalog, incidents []*incident.Incident) dependencies {
	d := dependencies{c, map[string][]incident.Episode{}}
	for _, i := range incidents {
		for _, h := range i.Hosts {
			d.outages[h.ID] = append(d.outages[h.ID], incident.Episodes(i, only(h.ID), mesh.Down, mesh.Partial)...)
		}
	}
	for _, all := range d.outages {
		slices.SortFunc(all, func(a, b incident.Episode) int { return a.From.Compare(b.From) })
	}
	return d
}

func only(id string) func(string) bool { return func(other string) bool { return other == id } }

// failures are the verdicts of what is part of an incident.
var failures = []mesh.Verdict{mesh.Down, mesh.Partial, mesh.Degraded}

// explained is the failure of a check with that of a host which it needs.
type explained struct {
	window incident.Window
	by     string    // the name of the host that it needs
	until  time.Time // when that host worked again, mesh time; zero: it does not yet
}

// explain says which host explains the failure of a check, if one does.
func (d dependencies) explain(id string, w incident.Window) (out explained, ok bool) {
	h := d.catalog.HostByID(id)
	if h == nil {
		return out, false
	}
	for _, key := range h.NeedsOf(h.CheckByID(w.CheckID)) {
		needed := d.catalog.Host(key)
		if needed == nil {
			continue
		}
		if until, failed := d.failedDuring(needed.Identity(), w); failed && (!ok || !out.until.IsZero() &&
			(until.IsZero() || until.After(out.until))) {
			out, ok = explained{w, needed.Name, until}, true
		}
	}
	return out, ok
}

// failedDuring reports whether a host failed when a window began, and until when.
func (d dependencies) failedDuring(id string, w incident.Window) (until time.Time, failed bool) {
	for _, o := range d.outages[id] {
		begins := !o.From.After(w.From.Add(needsSlack)) && (o.To.IsZero() || o.To.After(w.From))
		// What comes back before the other could recover goes on.
		continues := failed && !until.IsZero() && !o.From.After(until.Add(recoverWithin))
		if begins || continues {
			if failed = true; o.To.IsZero() {
				return time.Time{}, true
			}
			if o.To.After(until) {
				until = o.To
			}
		}
	}
	return until, failed
}

// needsAny reports whether the host, or one of its checks that failed, needs another host.
func (d dependencies) needsAny(h incident.Host) bool {
	config := d.catalog.HostByID(h.ID)
	return config != nil && (len(config.Needs) > 0 || slices.ContainsFunc(h.Windows, func(w incident.Window) bool {
		return len(config.NeedsOf(config.CheckByID(w.CheckID))) > 0
	}))
}

// Alerts returns incidents as alerts. What failed because a host that it needs failed is part of no alert, until that
// host works again and it does not: then it is an alert of its own.
func Alerts(
	c *catalog.Catalog, snapshot *mesh.Snapshot, state *State, incidents []*incident.Incident, now time.Time,
) (out []Alert) {
	d := newDependencies(c, incidents)
	for _, i := range incidents {
		var own, dependent []incident.Host
		because := map[string][]explained{}
		waits := true
		for _, h := range i.Hosts {
			rest := h
			rest.Windows = nil
			for _, w := range h.Windows {
				if e, ok := d.explain(h.ID, w); ok {
					because[h.ID] = append(because[h.ID], e)
				} else {
					rest.Windows = append(rest.Windows, w)
				}
			}
			if len(rest.Windows) == 0 && len(because[h.ID]) > 0 {
				dependent = append(dependent, h)
				continue
			}
			own = append(own, rest)
			waits = waits && d.needsAny(h)
		}
		whole := OfIncident(c, snapshot, i, now)
		if len(own) == 0 && state.reported(whole) {
			own, dependent = i.Hosts, nil // it was sent before the host that explains it failed
		}
		if waits {
			whole.NotBefore = whole.Opened.Add(needsWait)
		}
		if len(own) > 0 {
			out = append(out, withoutDependents(c, snapshot, i, whole, own, dependent))
		}
		for _, h := range dependent {
			if left, ok := remaining(c, i, h, because[h.ID], now); ok {
				out = append(out, left)
			}
		}
	}
	return out
}

// withoutDependents leaves out of an alert what failed with the alert's own hosts.
func withoutDependents(
	c *catalog.Catalog, s *mesh.Snapshot, i *incident.Incident, m Alert, own, dependent []incident.Host,
) Alert {
	if len(dependent) == 0 {
		return m
	}
	m.Hosts, m.Severity = nil, catalog.Minor
	for _, h := range own {
		m.Hosts = append(m.Hosts, partOf(c, s, i, h))
		if s := severityOf(h); s.AtLeast(m.Severity) {
			m.Severity = s
		}
	}
	names := make([]string, len(dependent))
	for n, h := range dependent {
		names[n] = h.Name
	}
	m.Text.What += " Failing with it: " + strings.Join(names, ", ") + "."
	if i.TakenOver() {
		return m // a person says when it is over
	}
	episodes := incident.Episodes(i, func(id string) bool {
		return slices.ContainsFunc(own, func(h incident.Host) bool { return h.ID == id })
	}, failures...)
	if n := len(episodes); n > 0 {
		last := episodes[n-1]
		m.Round, m.Opened, m.Over = n-1, i.Wall(last.From), i.Wall(last.To)
		m.Began = m.Opened
	}
	return m
}

// remaining returns the alert of a host that still failed some time after the hosts that it needs had recovered.
func remaining(
	c *catalog.Catalog, i *incident.Incident, h incident.Host, because []explained, now time.Time,
) (m Alert, ok bool) {
	m = Alert{
		ID: i.ID + "-" + h.ID, Of: i.ID, Round: -1, Severity: severityOf(h), Hosts: []Host{hostOf(c, h)},
		Public: !i.Internal && !i.Public.IsZero(),
	}
	by := ""
	for _, episode := range incident.Episodes(i, only(h.ID), failures...) {
		lasted := func(at time.Time) bool { return episode.To.IsZero() || episode.To.After(at) }
		n, since := -1, time.Time{} // the last of the hosts that explain it to recover
		for k, e := range because {
			if !lasted(e.window.From) || !e.window.To.IsZero() && !e.window.To.After(episode.From) {
				continue // of another episode
			}
			if e.until.IsZero() {
				n = -1
				break
			}
			if n < 0 || e.until.Add(recoverWithin).After(since) {
				n, since = k, e.until.Add(recoverWithin)
			}
		}
		if n >= 0 && lasted(since) && !i.Wall(since).After(now) {
			m.Round++
			m.Opened, m.Over, by = i.Wall(since), i.Wall(episode.To), because[n].by
		}
	}
	if m.Round < 0 {
		return m, false
	}
	verb := "still fails"
	if !m.Over.IsZero() {
		verb = "works again"
	}
	checks := strings.Join(m.Hosts[0].Checks, ", ")
	m.Text = Text{
		Title: fmt.Sprintf("%s: %s %s", h.Name, checks, strings.ReplaceAll(string(cmp.Or(h.Status, h.Worst)), "_", " ")),
		What: fmt.Sprintf("%s of %s %s. It had failed with %s, which it needs and which has worked since %s UTC.",
			checks, h.Name, verb, by, m.Opened.Add(-recoverWithin).UTC().Format("15:04")),
		Next: command.ProgramName("coordinator") + " explain " + h.Name,
	}
	return m, true
}

// severityOf is how bad the outage of a host was.
func severityOf(h incident.Host) catalog.Severity {
	switch h.Worst {
	case mesh.MajorOutage:
		return catalog.Critical
	case mesh.PartialOutage:
		return catalog.Major
	}
	return catalog.Minor
}
