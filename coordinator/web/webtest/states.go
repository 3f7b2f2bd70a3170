package webtest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sla"
)

// State is a state that the status page may have to show.
type State struct {
	Name   string
	Source *Source
}

// States returns ten states that between them have what readers meet: every test of how pages look visits all of them.
func States(t *testing.T) []State {
	t.Helper()
	return []State{
		{"all-well", allWell(t)}, {"one-down", oneDown(t)}, {"four-down", fourDown(t)}, {"maintenance", inMaintenance(t)},
		{"unknown", unknown(t)}, {"pending", pending(t)}, {"out-of-date", outOfDate(t)}, {"long-names", longNames(t)},
		{"300-hosts", manyHosts(t)}, {"no-hosts", noHosts(t)},
	}
}

// allWell has months of history, an outage of last week, and a post.
func allWell(t *testing.T) *Source {
	t.Helper()
	s := NewSource(t, mesh.Up, mesh.Operational)
	s.Lifelike = true
	now := time.Now().UTC()
	for i := range s.Snapshot.Hosts {
		h := &s.Snapshot.Hosts[i]
		h.Since = now.AddDate(0, 0, -12)
		for c := range h.Checks {
			set(&h.Checks[c], mesh.Up, now.AddDate(0, 0, -12))
		}
	}
	past := Incidents()[1]
	shift(past, -72*time.Hour)
	s.All = []*incident.Incident{past}
	s.Library = NewLibrary(t)
	s.Library.Write(ledger.PostEvent{
		ID: "rack", Mesh: now.AddDate(0, 0, -2), Tags: []string{"hardware"}, Category: "news",
		Hosts: []string{s.Catalog.Host("nc036").Identity()},
	}, "A second power supply for Amsterdam", "Mail no longer depends on **one** supply.\n\n- no downtime\n- done by hand")
	return s
}

// set gives a check a verdict, and the votes that go with it.
func set(c *mesh.CheckState, v mesh.Verdict, since time.Time) {
	c.Verdict, c.Since = v, since
	c.Tally = mesh.Tally{Regions: len(c.Votes), Voters: len(c.Votes) - 1}
	c.Sentence = fmt.Sprintf("Up: %d of %[1]d regions reach it.", c.Tally.Voters)
	for n := range c.Votes {
		vote := &c.Votes[n]
		vote.Vote, vote.Why, vote.Since = mesh.OK, "", since
		bad := v == mesh.Down || v == mesh.Partial && n%2 == 0
		switch {
		case v == mesh.Unknown || v == mesh.Pending:
			vote.Vote = mesh.Abstain
		case bad && !vote.Own:
			vote.Vote, vote.Why = mesh.Bad, "refused"
			c.Tally.Bad++
		}
		if vote.Vote == mesh.OK && !vote.Own {
			c.Tally.OK++
		}
	}
	switch v {
	case mesh.Down, mesh.Partial:
		c.Sentence = fmt.Sprintf("Down: %d of %d regions got 'refused' on port 25, first from Toronto at %s.", c.Tally.Bad,
			c.Tally.Voters, since.UTC().Format("15:04:05"))
	case mesh.Unknown:
		c.Sentence = "Unknown: too few regions report."
	case mesh.Pending:
		c.Sentence = "Waiting for the first results."
	}
}

// shift moves an incident in time.
func shift(i *incident.Incident, by time.Duration) {
	move := func(at *time.Time) {
		if !at.IsZero() {
			*at = at.Add(by)
		}
	}
	for _, at := range []*time.Time{&i.Began, &i.Opened, &i.Updated, &i.Resolved, &i.Public} {
		move(at)
	}
	for h := range i.Hosts {
		for w := range i.Hosts[h].Windows {
			move(&i.Hosts[h].Windows[w].From)
			move(&i.Hosts[h].Windows[w].To)
		}
	}
	for u := range i.Updates {
		move(&i.Updates[u].At)
	}
}

// fail gives a host a status and its checks from the first on a verdict, as an incident with an update says it too.
func (s *Source) fail(i *incident.Incident, at int, status mesh.Status, verdict mesh.Verdict, first, last int) {
	h, since := &s.Snapshot.Hosts[at], i.Began
	h.Status, h.Since = status, since
	part := incident.Host{Name: h.Name, Status: status, Worst: status}
	for n := first; n <= last && n < len(h.Checks); n++ {
		c := &h.Checks[n]
		set(c, verdict, since)
		part.Windows = append(part.Windows, incident.Window{Check: c.Name, Verdict: verdict, From: since})
		u := incident.Update{
			ID: fmt.Sprintf("7-%s-%d", mesh.Key(h.Name), n), At: since.Add(2 * time.Second), State: incident.Investigating,
			Host: h.Name, Check: c.Name, Was: mesh.Up, Verdict: verdict, Body: c.Sentence, Began: since, Cause: "1",
			Bad: c.Tally.Bad, Voters: c.Tally.Voters,
		}
		if len(i.Updates) == 0 {
			i.Updates = append(i.Updates, u)
		} else {
			i.Updates[0].With = append(i.Updates[0].With, u)
		}
		s.Changes = append(s.Changes, mesh.Transition{
			ID: u.ID, Host: h.Name, Public: true, Check: c.Name, Was: mesh.Up, Verdict: verdict, From: mesh.Operational,
			To: status, Began: u.Began, Published: u.At, Sentence: u.Body, Tally: c.Tally, Votes: c.Votes, Cause: "1",
		})
	}
	i.Hosts = append(i.Hosts, part)
}

func newIncident(id string, at time.Time, impact incident.Impact) *incident.Incident {
	return &incident.Incident{
		ID: id, Cause: "1", State: incident.Investigating, Impact: impact, Began: at, Opened: at.Add(2 * time.Second),
		Updated: at.Add(2 * time.Second), Public: at,
	}
}

// oneDown has one service that fails since twelve minutes, of which a person wrote.
func oneDown(t *testing.T) *Source {
	t.Helper()
	s := allWell(t)
	at := time.Now().UTC().Add(-12 * time.Minute)
	i := newIncident("b1-1", at, incident.Major)
	s.fail(i, publicHost(s, "NC036"), mesh.PartialOutage, mesh.Down, 1, 1)
	i.Said, i.State, i.NextUpdate = incident.Identified, incident.Identified, time.Now().Add(27*time.Minute)
	i.Entries = []incident.Entry{{
		ID: "e1", Action: incident.ActionUpdate, State: incident.Identified, At: at.Add(7 * time.Minute),
		Texts: []incident.Text{{
			Body: "We paused outgoing mail to remove a flood of viruses from the queue. Reading mail is **not** affected.",
			At:   at.Add(7 * time.Minute),
		}},
	}}
	i.Tags, i.Category = []string{"smtp"}, "mail"
	s.All = append([]*incident.Incident{i}, s.All...)
	return s
}

func publicHost(s *Source, name string) int {
	for i, h := range s.Snapshot.Hosts {
		if h.Name == name {
			return i
		}
	}
	panic("no host " + name)
}

// fourDown has four hosts that one cut took away.
func fourDown(t *testing.T) *Source {
	t.Helper()
	s := allWell(t)
	i := newIncident("c1-1", time.Now().UTC().Add(-3*time.Minute), incident.Critical)
	down := 0
	for n, h := range s.Snapshot.Hosts {
		if h.Public && down < 4 {
			s.fail(i, n, mesh.MajorOutage, mesh.Down, 0, 9)
			down++
		}
	}
	s.All = append([]*incident.Incident{i}, s.All...)
	return s
}

// inMaintenance has one that is in progress, one to come, and one that recurs.
func inMaintenance(t *testing.T) *Source {
	t.Helper()
	s := allWell(t)
	at := publicHost(s, "NC036")
	h := &s.Snapshot.Hosts[at]
	h.Status, h.Since = mesh.UnderMaintenance, time.Now().Add(-10*time.Minute)
	for n := range h.Checks {
		h.Checks[n].Maintenance = "disk"
	}
	set(&h.Checks[1], mesh.Down, h.Since)
	plan := func(id, host, title, rule string, start time.Time) *maintenance.Maintenance {
		return &maintenance.Maintenance{
			ID: id, Schedule: maintenance.Schedule{Start: start, End: start.Add(time.Hour), Rule: rule},
			Targets: []maintenance.Target{{Host: s.Catalog.Host(mesh.Key(host)).Identity()}}, Tags: []string{"disk"},
			Changes: []maintenance.Change{{ID: id, Action: maintenance.Plan, At: start.Add(-48 * time.Hour),
				Text: maintenance.Text{Title: title, Body: "Mail is unreachable for about ten minutes."}}},
		}
	}
	now := time.Now().UTC().Truncate(time.Minute)
	s.Planned = []*maintenance.Maintenance{
		plan("disk", "NC036", "Mail: more disk space", "", now.Add(-10*time.Minute)),
		plan("kernel", "NC041", "Web sites: a new kernel", "", now.Add(50*time.Hour)),
		plan("weekly", "NC033", "Name service: updates", "FREQ=WEEKLY", now.Add(30*time.Hour)),
	}
	return s
}

func unknown(t *testing.T) *Source {
	t.Helper()
	s := allWell(t)
	s.Snapshot.Alerts = []string{"half of the regions are silent"}
	for n := range s.Snapshot.Hosts {
		h := &s.Snapshot.Hosts[n]
		h.Status, h.Since = mesh.StatusUnknown, time.Now().Add(-5*time.Minute)
		for c := range h.Checks {
			set(&h.Checks[c], mesh.Unknown, h.Since)
		}
	}
	return s
}

// pending is a mesh that has just begun: nothing was measured.
func pending(t *testing.T) *Source {
	t.Helper()
	s := NewSource(t, mesh.Pending, mesh.StatusUnknown)
	for n := range s.Snapshot.Hosts {
		h := &s.Snapshot.Hosts[n]
		h.Since = time.Time{}
		for c := range h.Checks {
			set(&h.Checks[c], mesh.Pending, time.Time{})
		}
	}
	return s
}

func outOfDate(t *testing.T) *Source {
	t.Helper()
	s := oneDown(t)
	s.Snapshot.At = time.Now().Add(-20 * time.Minute)
	return s
}

// longNames has names and texts at the limits of what a catalog and people may write, and some that cannot be broken.
func longNames(t *testing.T) *Source {
	t.Helper()
	s := oneDown(t)
	long := strings.Repeat("Donaudampfschifffahrtselektrizitäten", 2)
	s.Catalog.Page.Title = "The Society for the Preservation of Very Long Names of Services and Places"
	for n := range s.Catalog.Hosts {
		h := &s.Catalog.Hosts[n]
		h.Title, h.Role = long+" "+h.Name, "Everything that "+long+" needs"
		h.Group = "The group of " + long
		for c := range h.Checks {
			h.Checks[c].Name += " of " + long
			s.Snapshot.Hosts[n].Checks[c].Name = h.Checks[c].Name
		}
	}
	for n := range s.Catalog.Regions {
		s.Catalog.Regions[n].City = "Llanfairpwllgwyngyll-" + s.Catalog.Regions[n].City
	}
	for _, i := range s.All {
		i.Titles = []incident.Text{{Title: "An incident of " + long + " and more"}}
		for h := range i.Hosts {
			for w := range i.Hosts[h].Windows {
				i.Hosts[h].Windows[w].Check += " of " + long
			}
		}
	}
	return s
}

// manyHosts has 300 hosts in twenty groups, of which one fails.
func manyHosts(t *testing.T) *Source {
	t.Helper()
	s := oneDown(t)
	at := publicHost(s, "NC041")
	model, state := *s.Catalog.Host("nc041"), s.Snapshot.Hosts[at]
	model.Title = ""
	for n := range 295 {
		h, st := model, state
		h.Name = fmt.Sprintf("NC%d", 1000+n)
		h.ID = ""
		h.Group, st.Name = fmt.Sprintf("Rack %c%d", 'A'+n/60, n/15%4+1), h.Name
		s.Catalog.Hosts, s.Snapshot.Hosts = append(s.Catalog.Hosts, h), append(s.Snapshot.Hosts, st)
	}
	return s
}

func noHosts(t *testing.T) *Source {
	t.Helper()
	s := NewSource(t, mesh.Up, mesh.Operational)
	s.Catalog.Hosts, s.Snapshot.Hosts, s.Snapshot.Alerts = nil, nil, nil
	return s
}

// lifelike is a round-trip time between two places of the mesh at an hour: it differs as they do between continents,
// and varies over the day.
func lifelike(host catalog.Host, region string, hour int) rollup.Digest {
	seed := 0
	for _, r := range mesh.Key(host.Region) + region {
		seed = (seed*31 + int(r)) % 997
	}
	base := 8 + float64(seed%260)
	if host.Region == region {
		base = 0.6
	}
	wave := 1 + .06*math.Sin(float64(hour+seed)/4) + .03*math.Sin(float64(hour*seed%17))
	if seed%5 == 0 && hour%31 < 3 {
		wave += .25
	}
	at := func(factor float64) time.Duration {
		return time.Duration(base * wave * factor * float64(time.Millisecond))
	}
	return rollup.Digest{
		Outcomes: rollup.Outcomes{Reachable: 360}, Sent: 360, P50: at(1), P90: at(1.1), P95: at(1.2), P99: at(1.5),
	}
}

// lifelikeDays are the days of a host with an outage every few weeks, maintenance, and no data at the beginning.
func lifelikeDays(q sla.Query, host string) (out []sla.Times) {
	seed := 0
	for _, r := range host {
		seed = (seed*31 + int(r)) % 89
	}
	for day := q.From; day.Before(q.To); day = day.AddDate(0, 0, 1) {
		times, n := sla.Times{Up: 86_400}, int(q.To.Sub(day)/(24*time.Hour))
		switch {
		case n > 89-seed%9:
			times = sla.Times{NoData: 86_400}
		case (n+seed)%37 == 0:
			times = sla.Times{Up: 86_400 - 372, Down: 372}
		case (n+seed)%29 == 0:
			times = sla.Times{Up: 86_400 - 80, Partial: 80}
		case (n+seed)%53 == 0:
			times = sla.Times{Up: 84_600, Maintenance: 1800}
		}
		if left := q.To.Sub(day); left < 24*time.Hour {
			times.Up = min(times.Up, int64(left/time.Second))
		}
		out = append(out, times)
	}
	return out
}

// lifelikePoints are the days or hours of a check from a region.
func lifelikePoints(h catalog.Host, region string, q latency.Request) (out []latency.Point) {
	for n, at := 0, q.From.UTC().Truncate(q.By.Duration()); at.Before(q.To); n, at = n+1, at.Add(q.By.Duration()) {
		out = append(out, latency.Point{At: at, Digest: lifelike(h, region, n*7)})
	}
	return out
}
