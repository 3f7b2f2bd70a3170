package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// takenOver is the resolved incident of webtest with what a person wrote: an update while it lasted, a resolution, a
// correction of the update and a post-mortem.
func takenOver() *incident.Incident {
	i := webtest.Incidents()[1]
	i.State, i.Resolved = incident.Investigating, time.Time{}
	at := i.Began
	say := func(event string, action incident.Action, state incident.State, after time.Duration, body string) {
		i.Change(incident.Change{
			Event: event, ID: i.ID, Action: action, State: state, Worded: true, TextID: event, Mesh: at.Add(after),
		})
		i.Entries[len(i.Entries)-1].Texts[0].Body = body
	}
	say("e1", incident.ActionUpdate, incident.Monitoring, 10*time.Minute, "The **queue** is full.")
	say("e2", incident.ActionResolve, incident.Resolved, 30*time.Minute, "Mail works again.")
	say("e3", incident.ActionPostmortem, incident.Postmortem, 50*time.Minute, "Five accounts were hijacked.")
	i.Change(incident.Change{
		Event: "e4", ID: i.ID, Action: incident.ActionEdit, Entry: "e1", Worded: true, TextID: "e4",
		Mesh: at.Add(20 * time.Minute),
	})
	i.Entries[0].Texts[0].Body = "The **mail queue** is full."
	return i
}

type statuspageIncident struct {
	ID, Status           string
	CreatedAt            string `json:"created_at"`
	MonitoringAt         string `json:"monitoring_at"`
	ResolvedAt           string `json:"resolved_at"`
	StartedAt, UpdatedAt string
	IncidentUpdates      []struct {
		ID, Status, Body string
		CreatedAt        time.Time `json:"created_at"`
		UpdatedAt        time.Time `json:"updated_at"`
	} `json:"incident_updates"`
}

// The timeline of an incident has measurements and what people wrote in one order, newest first.
func TestAnIncidentThatPeopleWroteAbout(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	i := takenOver()
	s.All = []*incident.Incident{i, {ID: "old", Merged: i.ID}}
	h := public(s)
	var got struct{ Incident statuspageIncident }
	decode(t, h, "/api/v2/incidents/"+i.ID+".json", &got)
	var said []string
	for _, u := range got.Incident.IncidentUpdates {
		said = append(said, u.Status+": "+u.Body)
	}
	want := []string{
		"postmortem: Five accounts were hijacked.", "resolved: Mail works again.", "monitoring: The mail queue is full.",
	}
	for n, text := range want {
		if n >= len(said) || said[n] != text {
			t.Fatalf("%q, want %q before what was measured", said, want)
		}
	}
	if got.Incident.Status != "postmortem" || len(said) != 4 || !strings.Contains(said[3], "Sending mail stopped at ") {
		t.Errorf("%s: %q", got.Incident.Status, said)
	}
	millis := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	for _, text := range []string{got.Incident.CreatedAt, got.Incident.MonitoringAt, got.Incident.ResolvedAt} {
		if !millis.MatchString(text) {
			t.Errorf("the time %q has no milliseconds", text)
		}
	}
	first := got.Incident.IncidentUpdates[2]
	if !first.CreatedAt.Equal(i.Began.Add(10*time.Minute).Truncate(time.Millisecond)) ||
		!first.UpdatedAt.Equal(i.Began.Add(20*time.Minute).Truncate(time.Millisecond)) {
		t.Errorf("written at %v, corrected at %v", first.CreatedAt, first.UpdatedAt)
	}
	w := webtest.Get(t, h, "/api/v2/incidents/old.json")
	if w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "/api/v2/incidents/"+i.ID+".json" {
		t.Errorf("a merged incident: %d to %q", w.Code, w.Header().Get("Location"))
	}
	var history struct {
		Months []struct {
			Incidents []struct{ Code, Message string }
		}
	}
	decode(t, h, "/api/v2/history.json", &history)
	var codes []string
	for _, m := range history.Months {
		for _, recent := range m.Incidents {
			codes = append(codes, recent.Code+" "+recent.Message)
		}
	}
	if len(history.Months) != 3 || len(codes) != 1 || codes[0] != i.ID+" Five accounts were hijacked." {
		t.Errorf("the history has %q in %d months", codes, len(history.Months))
	}
}

func TestPagesOfIncidents(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()
	h := public(s)
	for query, want := range map[string]int{
		"": 2, "?page=1": 2, "?page=2": 0, "?per_page=1": 1, "?per_page=1&page=2": 1, "?limit=1&page=3": 0,
	} {
		var got struct{ Incidents []statuspageIncident }
		decode(t, h, "/api/v2/incidents.json"+query, &got)
		if len(got.Incidents) != want {
			t.Errorf("%s: %d incidents, want %d", query, len(got.Incidents), want)
		}
	}
	for _, query := range []string{"?page=0", "?page=x", "?per_page=1000"} {
		w := webtest.Get(t, h, "/api/v2/incidents.json"+query)
		if w.Code != http.StatusBadRequest || !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), "from 1 to") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// Incidents that are older than the newest five hundred are on later pages, and in the history of their month.
func TestIncidentsFarInThePast(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	sample := webtest.Incidents()[0]
	for n := range 620 {
		i := *sample
		i.ID, i.State = fmt.Sprintf("i%d", n), incident.Resolved
		i.Opened = s.Snapshot.At.AddDate(0, 0, -2-n/60)
		i.Public, i.Resolved, i.Updates = i.Opened, i.Opened.Add(time.Hour), nil
		s.All = append(s.All, &i)
	}
	h := public(s)
	var page struct{ Incidents []statuspageIncident }
	decode(t, h, "/api/v2/incidents.json?per_page=100&page=7", &page)
	if len(page.Incidents) != 20 || page.Incidents[19].ID != "i619" {
		t.Errorf("the last page has %d incidents", len(page.Incidents))
	}
	var history struct {
		Months []struct{ Incidents []struct{ Code string } }
	}
	decode(t, h, "/api/v2/history.json", &history)
	codes := 0
	for _, m := range history.Months {
		codes += len(m.Incidents)
	}
	if codes != 620 {
		t.Errorf("the history of the last months has %d incidents, want 620", codes)
	}
}

// Components say when they came into the catalog, and when they changed last.
func TestDatesOfComponents(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	host := s.Catalog.Host("nc036")
	added := time.Date(2020, 9, 1, 12, 0, 0, 500_000_000, time.UTC)
	s.Added = map[string]ledger.Component{
		host.Identity():                  {Added: added, Changed: s.Snapshot.At.Add(time.Hour)},
		host.IdentityOf(&host.Checks[0]): {Added: added, Changed: added},
	}
	h := public(s)
	var got struct {
		Page struct {
			UpdatedAt time.Time `json:"updated_at"`
		}
		Components []struct {
			ID        string
			CreatedAt string    `json:"created_at"`
			UpdatedAt time.Time `json:"updated_at"`
		}
	}
	decode(t, h, "/api/v2/components.json", &got)
	group, ping := got.Components[0], got.Components[1]
	if group.ID != host.Identity() || group.CreatedAt != "2020-09-01T12:00:00.500Z" || ping.CreatedAt != group.CreatedAt {
		t.Errorf("%+v %+v", group, ping)
	}
	changed := s.Snapshot.At.Add(time.Hour).Truncate(time.Millisecond)
	if !group.UpdatedAt.Equal(changed) || !got.Page.UpdatedAt.Equal(changed) {
		t.Errorf("changed by a catalog at %v, updated at %v, the page at %v", changed, group.UpdatedAt, got.Page.UpdatedAt)
	}
	if since := s.Snapshot.Hosts[0].Checks[0].Since.Truncate(time.Millisecond); !ping.UpdatedAt.Equal(since) {
		t.Errorf("a check whose status began at %v is updated at %v", since, ping.UpdatedAt)
	}
}

// The page is updated when something changes, and not when a snapshot shows the same again.
func TestThePageIsUpdatedWhenSomethingChanges(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	updated := func() string {
		var got struct {
			Page struct {
				UpdatedAt string `json:"updated_at"`
			}
		}
		decode(t, h, "/api/v2/status.json", &got)
		return got.Page.UpdatedAt
	}
	before := updated()
	next := *s.Snapshot
	next.At = next.At.Add(10 * time.Minute)
	s.Show(&next)
	if after := updated(); after != before {
		t.Errorf("nothing changed: %s, then %s", before, after)
	}
	i := takenOver()
	i.Updated = s.Snapshot.At.Add(time.Hour)
	i.Updates = nil
	s.All = []*incident.Incident{i}
	s.Events.Add(1)
	if after := updated(); after <= before {
		t.Errorf("an incident was updated: %s, then %s", before, after)
	}
}

// Programs get JSON, whatever they ask for, and pages of other sites may read it.
func TestEveryAddressOfTheAPIAnswersInJSON(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	for _, path := range []string{
		"/api/v2/nothing.json", "/api/v2/incidents/nothing.json", "/api/v2/incidents/nothing", "/api/v2/", "/api/",
		"/api/v2/incidents/a/b.json", "/api/v3/summary.json", "/api/v1/nothing",
	} {
		w := webtest.Get(t, h, path)
		if w.Code != http.StatusNotFound || !json.Valid(w.Body.Bytes()) ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodOptions, "/api/v2/incidents.json", nil)
	r.Header.Set("Origin", "https://www.example.com")
	r.Header.Set("Access-Control-Request-Method", "GET")
	r.Header.Set("Access-Control-Request-Headers", "content-type")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code/100 != 2 || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

// The indicator is the worst of what is measured and of the impacts that people gave open incidents.
func TestTheIndicatorCountsWhatPeopleReport(t *testing.T) {
	for _, test := range []struct {
		impact   incident.Impact
		measured mesh.Status
		want     string
	}{
		{incident.None, mesh.Operational, "none All Systems Operational"},
		{incident.Minor, mesh.Operational, "minor Minor Service Outage"},
		{incident.Major, mesh.Operational, "major Partial System Outage"},
		{incident.Critical, mesh.Operational, "critical Major System Outage"},
		{incident.Minor, mesh.UnderMaintenance, "minor Minor Service Outage"},
		{incident.Minor, mesh.PartialOutage, "major Partial System Outage"},
	} {
		s := webtest.NewSource(t, mesh.Up, mesh.Operational)
		s.Snapshot.Hosts[0].Status = test.measured
		i := takenOver()
		i.State, i.Resolved, i.SaidImpact = incident.Monitoring, time.Time{}, test.impact
		s.All = []*incident.Incident{i}
		h := public(s)
		for _, path := range []string{"/api/v2/status.json", "/api/v2/summary.json"} {
			var got struct {
				Status struct{ Indicator, Description string }
			}
			decode(t, h, path, &got)
			if is := got.Status.Indicator + " " + got.Status.Description; is != test.want {
				t.Errorf("%s with impact %s and %s: %q, want %q", path, test.impact, test.measured, is, test.want)
			}
		}
	}
}
