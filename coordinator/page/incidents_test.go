package page_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestIncidentsOnThePage(t *testing.T) {
	s := newSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	if body := get(t, h, "/").Body.String(); strings.Count(body, "No incidents.") != 7 {
		t.Error("a week without incidents is not told as such")
	}
	next := *s.snapshot // what is new in the ledger comes with another moment
	s.incidents, s.snapshot = story(), &next
	body := get(t, h, "/").Body.String()
	for _, want := range []string{"NC041: major outage", "1 h 1 min ago", "NC036: Sending mail down", "lasted 21 min 3 s", `href="/incidents/a1-1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the front page does not say %q", want)
		}
	}
	one := get(t, h, "/incidents/a1-1").Body.String()
	for _, want := range []string{"Sending mail down for 21 min 3 s, from ", "Investigating", "&lt;refused&gt;"} {
		if !strings.Contains(one, want) {
			t.Errorf("the incident's page does not say %q", want)
		}
	}
	if w := get(t, h, "/incidents/zz"); w.Code != http.StatusNotFound {
		t.Error(w.Code)
	}
}

func TestThePageSaysWhenItMayBeCutOff(t *testing.T) {
	s := newSource(t, mesh.Up, mesh.Operational)
	if body := get(t, public(s), "/").Body.String(); strings.Contains(body, "silent at once") {
		t.Error("it says so without a reason")
	}
	s.snapshot.Alerts = []string{"half"}
	if body := get(t, public(s), "/").Body.String(); !strings.Contains(body, "silent at once") {
		t.Error("it does not say so")
	}
}

func TestIncidentsInStatuspagesShape(t *testing.T) {
	s := newSource(t, mesh.Up, mesh.Operational)
	s.incidents = story()
	h := public(s)
	for path, want := range map[string]int{"summary": 1, "incidents/unresolved": 1, "incidents": 2} {
		var got struct{ Incidents []map[string]any }
		if err := json.Unmarshal(get(t, h, "/api/v2/"+path+".json").Body.Bytes(), &got); err != nil || len(got.Incidents) != want {
			t.Fatalf("%s: %v, %d incidents", path, err, len(got.Incidents))
		}
		for _, key := range []string{
			"id", "name", "status", "created_at", "updated_at", "monitoring_at", "resolved_at", "impact", "shortlink", "started_at", "page_id",
			"incident_updates", "components",
		} {
			if _, ok := got.Incidents[0][key]; !ok {
				t.Errorf("%s: an incident has no %s", path, key)
			}
		}
	}
	var got struct {
		Incidents []struct {
			Status, Impact, ResolvedAt string
			IncidentUpdates            []struct {
				Status, Body       string
				AffectedComponents []struct{ Code, Name, OldStatus, NewStatus string } `json:"affected_components"`
			} `json:"incident_updates"`
			Components []struct{ ID, Name string }
		}
	}
	if err := json.Unmarshal(get(t, h, "/api/v2/incidents.json").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	resolved := got.Incidents[1]
	if resolved.Status != "resolved" || resolved.Impact != "major" || len(resolved.Components) != 2 || resolved.Components[0].Name != "NC036" ||
		resolved.IncidentUpdates[0].AffectedComponents[0].Code != resolved.Components[1].ID {
		t.Errorf("%+v", resolved)
	}
}
