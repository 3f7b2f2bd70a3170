package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
)

type statuspageMaintenance struct {
	ID              string
	Name            string
	Status          string
	CreatedAt       time.Time  `json:"created_at"`
	ResolvedAt      *time.Time `json:"resolved_at"`
	ScheduledFor    time.Time  `json:"scheduled_for"`
	ScheduledUntil  time.Time  `json:"scheduled_until"`
	Impact          string
	IncidentUpdates []struct{ ID, Status, Body string } `json:"incident_updates"`
	Components      []struct{ Name, Status string }
}

// get returns the body of an answer.
func get(t *testing.T, s *webtest.Source, path string) string {
	t.Helper()
	return webtest.Get(t, public(s), path).Body.String()
}

// planned returns a maintenance of NC036 that was announced an hour ago, and takes an hour from a time on.
func planned(s *webtest.Source, id string, start time.Time) *maintenance.Maintenance {
	return &maintenance.Maintenance{
		ID: id, Schedule: maintenance.Schedule{Start: start, End: start.Add(time.Hour)},
		Targets: []maintenance.Target{{Host: s.Catalog.Host("nc036").Identity()}},
		Changes: []maintenance.Change{{
			ID: "plan", Action: maintenance.Plan, At: time.Now().Add(-3 * time.Hour).UTC(),
			Text: maintenance.Text{Title: "New disk", Body: "The disk is *full*."},
		}},
	}
}

// The lists are Statuspage's: what is to come, what is in progress, and all of it with the past.
func TestScheduledMaintenances(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	now := time.Now().UTC().Truncate(time.Second)
	cancelled := planned(s, "cancelled", now.Add(5*time.Hour))
	cancelled.Changes = append(cancelled.Changes, maintenance.Change{
		ID: "c", Action: maintenance.Cancel, At: now.Add(-time.Minute), Occurrence: cancelled.Start,
	})
	weekly := planned(s, "weekly", now.AddDate(0, 0, -8))
	weekly.Rule, weekly.Changes[0].At = "FREQ=WEEKLY", now.AddDate(0, 0, -10)
	s.Planned = []*maintenance.Maintenance{
		planned(s, "upcoming", now.Add(2*time.Hour)), planned(s, "active", now.Add(-10*time.Minute)),
		planned(s, "past", now.Add(-2*time.Hour)), cancelled, weekly,
	}
	read := func(path string) (out []statuspageMaintenance) {
		t.Helper()
		answer := get(t, s, path)
		var body struct {
			Maintenances []statuspageMaintenance `json:"scheduled_maintenances"`
			One          *statuspageMaintenance  `json:"scheduled_maintenance"`
		}
		if err := json.Unmarshal([]byte(answer), &body); err != nil {
			t.Fatal(err)
		}
		if body.One != nil {
			return []statuspageMaintenance{*body.One}
		}
		return body.Maintenances
	}
	names := func(all []statuspageMaintenance) string {
		var out []string
		for _, m := range all {
			id, _, _ := strings.Cut(m.ID, "-")
			out = append(out, id+" "+m.Status)
		}
		return strings.Join(out, ", ")
	}
	weeks := strings.Repeat(", weekly scheduled", 5)
	for path, want := range map[string]string{
		"/api/v2/scheduled-maintenances/upcoming.json": "upcoming scheduled" + weeks,
		"/api/v2/scheduled-maintenances/active.json":   "active in_progress",
		"/api/v2/summary.json":                         "active in_progress, upcoming scheduled" + weeks,
		"/api/v2/scheduled-maintenances.json": weeks[2:] + ", upcoming scheduled, active in_progress, cancelled completed, " +
			"past completed, weekly completed, weekly completed",
		"/api/v2/scheduled-maintenances/past.json": "past completed",
	} {
		if got := names(read(path)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
	active := read("/api/v2/scheduled-maintenances/active.json")[0]
	if active.Name != "New disk" || active.Impact != "maintenance" || active.ResolvedAt != nil ||
		!active.ScheduledFor.Equal(now.Add(-10*time.Minute)) || !active.ScheduledUntil.Equal(now.Add(50*time.Minute)) ||
		len(active.IncidentUpdates) != 2 || active.IncidentUpdates[0].Status != "in_progress" ||
		active.IncidentUpdates[1].Body != "The disk is full." || active.IncidentUpdates[1].Status != "scheduled" {
		t.Errorf("%+v", active)
	}
	if n := len(s.Catalog.Host("nc036").Checks) + 1; len(active.Components) != n || active.Components[0].Name != "NC036" {
		t.Errorf("%d components, want the host and its checks: %+v", n, active.Components)
	}
	milliseconds := regexp.MustCompile(`"(created_at|scheduled_for|scheduled_until|display_at)": ?"[^"]*\.\d{3}Z"`)
	answer := get(t, s, "/api/v2/scheduled-maintenances/active.json")
	answer = answer[strings.Index(answer, `"incident_updates"`):]
	if n := len(milliseconds.FindAllString(answer, -1)); n != 6 {
		t.Errorf("%d of 6 times have milliseconds: %s", n, answer)
	}
	one := read("/api/v2/scheduled-maintenances/" + read("/api/v2/scheduled-maintenances/upcoming.json")[1].ID + ".json")
	if len(one) != 1 || one[0].Name != "New disk" {
		t.Errorf("an occurrence by its id: %+v", one)
	}
	for _, path := range []string{
		"nothing.json", "nothing", "weekly-20200101t000000z.json", "past-20200101t000000z.json",
	} {
		if code := webtest.Get(t, public(s), "/api/v2/scheduled-maintenances/"+path).Code; code != http.StatusNotFound {
			t.Errorf("%s is answered with %d", path, code)
		}
	}
}

// What is covered is under maintenance in the components and the page's status, whatever was measured.
func TestComponentsUnderMaintenance(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	for i := range s.Snapshot.Hosts {
		if h := &s.Snapshot.Hosts[i]; h.Name == "NC036" {
			h.Status, h.Checks[0].Verdict, h.Checks[0].Maintenance = mesh.UnderMaintenance, mesh.Down, "m"
		}
	}
	answer := get(t, s, "/api/v2/components.json")
	if n := strings.Count(answer, `"under_maintenance"`); n != 2 || strings.Contains(answer, "outage") {
		t.Errorf("%d components are under maintenance: %s", n, answer)
	}
	if answer := get(t, s, "/api/v2/status.json"); !strings.Contains(answer, `"maintenance"`) ||
		!strings.Contains(answer, "Service Under Maintenance") {
		t.Error(answer)
	}
}

// A component is updated when a maintenance of it begins and ends, and never earlier than it was before.
func TestComponentsAreUpdatedByMaintenance(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	now := time.Now().UTC().Truncate(time.Second)
	host := s.Catalog.Host("nc036")
	began := now.Add(-2 * time.Hour)
	show := func(change func(h *mesh.HostState)) {
		next := *s.Snapshot
		next.Hosts = append([]mesh.HostState{}, s.Snapshot.Hosts...)
		next.Hosts[0].Checks = append([]mesh.CheckState{}, s.Snapshot.Hosts[0].Checks...)
		change(&next.Hosts[0])
		s.Show(&next)
	}
	show(func(h *mesh.HostState) {
		h.Since = began
		for n := range h.Checks {
			h.Checks[n].Since = began
		}
	})
	h := public(s)
	updated := func() (group, ping, other time.Time) {
		var got struct {
			Components []struct {
				UpdatedAt time.Time `json:"updated_at"`
			}
		}
		decode(t, h, "/api/v2/components.json", &got)
		return got.Components[0].UpdatedAt, got.Components[1].UpdatedAt, got.Components[2].UpdatedAt
	}
	if group, ping, other := updated(); !group.Equal(began) || !ping.Equal(began) || !other.Equal(began) {
		t.Errorf("before: %v %v %v, want %v", group, ping, other, began)
	}
	m := planned(s, "ping", now.Add(-10*time.Minute))
	m.Targets[0].Check = host.IdentityOf(&host.Checks[0])
	s.Planned = []*maintenance.Maintenance{m}
	s.Events.Add(1)
	show(func(h *mesh.HostState) { h.Checks[0].Maintenance = "ping" })
	if group, ping, other := updated(); !ping.Equal(m.Start) || !group.Equal(began) || !other.Equal(began) {
		t.Errorf("in progress: %v %v %v, want %v of the ping", group, ping, other, m.Start)
	}
	m.Start, m.End = now.Add(-10*time.Minute), now.Add(-time.Minute)
	s.Events.Add(1)
	show(func(h *mesh.HostState) { h.Checks[0].Maintenance = "" })
	if _, ping, _ := updated(); !ping.Equal(m.End) {
		t.Errorf("completed: %v, want %v", ping, m.End)
	}
	// A catalog takes the check away that changed last.
	s.Planned = nil
	s.Events.Add(1)
	show(func(h *mesh.HostState) { h.Since = began.Add(-time.Hour) })
	if group, ping, _ := updated(); !ping.Equal(m.End) || !group.Equal(began) {
		t.Errorf("it went backwards: %v %v, want %v and %v", group, ping, began, m.End)
	}
}
