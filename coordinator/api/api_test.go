package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// public is the API as the public sees it. It has no pages; their event streams are tested in package web.
func public(s *webtest.Source) http.Handler {
	return web.NewHandler(zerolog.Nop(), web.Public, api.New(api.Config{View: web.NewView(s, web.Public)}).Routes()...)
}

func decode(t *testing.T, h http.Handler, path string, v any) {
	t.Helper()
	w := webtest.Get(t, h, path)
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: status %d (%v)", path, w.Code, err)
	}
}

// Statuspage has no status for unknown.
func TestUnknownIsDegradedPerformanceForStatuspage(t *testing.T) {
	var summary struct {
		Status     struct{ Indicator, Description string }
		Components []struct{ Status, Description string }
	}
	decode(t, public(webtest.NewSource(t, mesh.Unknown, mesh.StatusUnknown)), "/api/v2/summary.json", &summary)
	if summary.Status.Indicator != "minor" || !strings.HasPrefix(summary.Status.Description, "Unknown: ") {
		t.Error(summary.Status)
	}
	for _, c := range summary.Components {
		if c.Status != "degraded_performance" || !strings.HasPrefix(c.Description, "Unknown: ") {
			t.Errorf("%+v", c)
		}
	}
}

// Every answer has exactly the keys that Statuspage's has.
func TestAnswersHaveStatuspagesKeys(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	for path, keys := range map[string][]string{
		"summary":                         {"page", "components", "incidents", "scheduled_maintenances", "status"},
		"status":                          {"page", "status"},
		"components":                      {"page", "components"},
		"incidents":                       {"page", "incidents"},
		"incidents/unresolved":            {"page", "incidents"},
		"scheduled-maintenances":          {"page", "scheduled_maintenances"},
		"scheduled-maintenances/upcoming": {"page", "scheduled_maintenances"},
		"scheduled-maintenances/active":   {"page", "scheduled_maintenances"},
	} {
		var got map[string]json.RawMessage
		decode(t, h, "/api/v2/"+path+".json", &got)
		for _, key := range keys {
			if _, ok := got[key]; !ok || len(got) != len(keys) {
				t.Errorf("%s has %d keys; has %q: %v", path, len(got), key, ok)
			}
		}
	}
}

func TestComponentsHaveStatuspagesKeys(t *testing.T) {
	var all struct{ Components []map[string]any }
	decode(t, public(webtest.NewSource(t, mesh.Up, mesh.Operational)), "/api/v2/components.json", &all)
	for _, c := range all.Components {
		for _, key := range []string{
			"id", "name", "status", "created_at", "updated_at", "position", "description", "showcase", "start_date",
			"group_id", "page_id", "group", "only_show_if_degraded",
		} {
			if _, ok := c[key]; !ok {
				t.Errorf("%v lacks %s", c["name"], key)
			}
		}
		if members, ok := c["components"].([]any); c["group"] == true != ok || ok && len(members) == 0 {
			t.Errorf("%v: a group must list its components, and nothing else may", c["name"])
		}
	}
}

func TestIncidentsHaveStatuspagesKeys(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()
	h := public(s)
	for path, want := range map[string]int{"summary": 1, "incidents/unresolved": 1, "incidents": 2} {
		var got struct{ Incidents []map[string]any }
		decode(t, h, "/api/v2/"+path+".json", &got)
		if len(got.Incidents) != want {
			t.Fatalf("%s: %d incidents, want %d", path, len(got.Incidents), want)
		}
		for _, key := range []string{
			"id", "name", "status", "created_at", "updated_at", "monitoring_at", "resolved_at", "impact", "shortlink",
			"started_at", "page_id", "incident_updates", "components",
		} {
			if _, ok := got.Incidents[0][key]; !ok {
				t.Errorf("%s: an incident lacks %s", path, key)
			}
		}
	}
}

func TestAResolvedIncidentNamesItsComponents(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()
	var got struct {
		Incidents []struct {
			Status, Impact  string
			IncidentUpdates []struct {
				AffectedComponents []struct{ Code string } `json:"affected_components"`
			} `json:"incident_updates"`
			Components []struct{ ID, Name string }
		}
	}
	decode(t, public(s), "/api/v2/incidents.json", &got)
	resolved := got.Incidents[1]
	if resolved.Status != "resolved" || resolved.Impact != "major" || len(resolved.Components) != 2 ||
		resolved.Components[0].Name != "NC036" ||
		resolved.IncidentUpdates[0].AffectedComponents[0].Code != resolved.Components[1].ID {
		t.Errorf("%+v", resolved)
	}
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/api/v1/transitions?since=yesterday": {http.StatusBadRequest, "2026-01-31T02:31:00Z"},
		"/api/v1/transitions?host=nobody":     {http.StatusNotFound, `no host \"nobody\"`},
		"/api/v1/hosts/nobody/votes":          {http.StatusNotFound, `no host \"nobody\"`},
	} {
		if w := webtest.Get(t, h, path); w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// A status that was is not said to be one that is: programs do not look at the time beside it.
func TestAStatusThatIsOutOfDateIsUnknown(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(-time.Minute)
	s.All = webtest.Incidents()
	h := public(s)
	for _, path := range []string{
		"/api/v2/status.json", "/api/v2/summary.json", "/api/v2/components.json", "/api/v2/incidents.json",
	} {
		text := webtest.Get(t, h, path).Body.String()
		if strings.Contains(text, `"status": "operational"`) || strings.Contains(text, "All Systems") ||
			!strings.Contains(text, "Unknown: ") {
			t.Errorf("%s of a minute ago: %s", path, text)
		}
	}
}
