package node_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/operators"
)

type apiIncident struct {
	ID, Title, State, Impact string
	Hosts, Tags              []string
	Merged                   string
	NextUpdate               *time.Time `json:"next_update"`
	Updates                  []struct {
		ID, State, Text string
		Before          []struct{ Text string }
	}
}

type apiMaintenance struct {
	ID, State, Title string
	Start, End       time.Time
	Covers           []struct{ Host string }
}

// A program writes an incident from its opening to its post-mortem, and merges another one into it. A repeat with an
// idempotency key adds no second update.
func TestAProgramWritesIncidents(t *testing.T) {
	c := config(t)
	serveNode(t, c, func(url string, client *admin.Client) {
		token, err := client.Tokens().Add(t.Context(), "deploy", operators.Write)
		if err != nil {
			t.Fatal(err)
		}
		p := program{t, url, token, ""}
		var i, other apiIncident
		do := func(method, path, body string, want int, into any) {
			t.Helper()
			if _, status := p.do(method, path, body, into); status != want {
				t.Fatalf("%s %s: %d, want %d: %+v", method, path, status, want, into)
			}
		}
		do("POST", "/api/v1/incidents", `{"title": "Mail is slow", "hosts": ["NC036"], "impact": "minor", "tags": ["smtp"],
			"text": "We are looking into it.", "category": "mail", "next_update": "30m"}`, 201, &i)
		if i.State != "investigating" || i.Impact != "minor" || i.Hosts[0] != "NC036" || i.NextUpdate == nil {
			t.Errorf("opened: %+v", i)
		}
		one := "/api/v1/incidents/" + i.ID
		p.key = "first"
		for range 2 {
			do("POST", one+"/updates", `{"state": "identified", "text": "A disk is full."}`, 200, &i)
		}
		p.key = ""
		if len(i.Updates) != 2 || i.State != "identified" {
			t.Errorf("a repeat added an update: %+v", i)
		}
		do("PATCH", one, `{"title": "Mail was slow", "text": "Two disks are full."}`, 200, &i)
		if i.Title != "Mail was slow" || i.Updates[1].Text != "Two disks are full." ||
			i.Updates[1].Before[0].Text != "A disk is full." {
			t.Errorf("corrected: %+v", i)
		}
		do("POST", one+"/resolve", `{"text": "It works."}`, 200, &i)
		do("POST", one+"/reopen", `{"text": "It does not."}`, 200, &i)
		if i.State != "investigating" {
			t.Errorf("reopened: %+v", i)
		}
		do("POST", "/api/v1/incidents", `{"title": "Same", "hosts": ["NC036"], "text": "x", "impact": "none"}`, 201, &other)
		do("POST", "/api/v1/incidents/"+other.ID+"/merge", `{"into": "`+i.ID+`"}`, 200, &i)
		do("POST", one+"/updates", `{"status": "resolved", "text": "It works."}`, 200, &i)
		do("POST", one+"/postmortem", `{"text": "A log filled it."}`, 200, &i)
		if i.State != "postmortem" {
			t.Errorf("explained: %+v", i)
		}
		var all []apiIncident
		do("GET", "/api/v1/incidents", "", 200, &all)
		if len(all) == 0 || all[0].ID != i.ID {
			t.Errorf("listed: %+v", all)
		}
		refusesIncidents(t, p, one, other.ID)
	})
}

// refusesIncidents checks what is refused, and with which field.
func refusesIncidents(t *testing.T, p program, one, merged string) {
	t.Helper()
	for _, test := range []struct {
		path, body string
		status     int
		field      string
	}{
		{"/api/v1/incidents", `{"title": "x", "text": "x"}`, 400, "hosts"},
		{"/api/v1/incidents", `{"title": "", "text": "x", "hosts": ["NC036"]}`, 400, "title"},
		{"/api/v1/incidents", `{"title": "x", "text": "", "hosts": ["NC036"]}`, 400, "text"},
		{"/api/v1/incidents", `{"title": "x", "text": "x", "hosts": ["NC999"]}`, 400, "hosts"},
		{"/api/v1/incidents", `{"title": "x", "text": "x", "hosts": ["NC036"], "impact": "huge"}`, 400, "impact"},
		{"/api/v1/incidents", `{"title": "x", "text": "x", "hosts": ["NC036"], "next_update": "soon"}`, 400, "next_update"},
		{one + "/updates", `{"state": "broken", "text": "x"}`, 400, "status"},
		{one + "/updates", `{"state": "monitoring", "status": "resolved", "text": "x"}`, 400, "state"},
		{one + "/updates", `{"state": "monitoring", "text": "x"}`, 409, ""}, // it is over
		{one + "/merge", `{"into": "nothing"}`, 404, ""},
		{"/api/v1/incidents/nothing/updates", `{"text": "x"}`, 404, ""},
		{"/api/v1/incidents/" + merged + "/resolve", `{"text": "x"}`, 409, ""},
	} {
		var failed failureJSON
		if _, status := p.do("POST", test.path, test.body, &failed); status != test.status ||
			failed.Field != test.field || failed.Error == "" {
			t.Errorf("%s %s: %d %+v", test.path, test.body, status, failed)
		}
	}
}

// A program plans maintenance, begins, extends and ends it, and calls another one off.
func TestAProgramPlansMaintenance(t *testing.T) {
	c := config(t)
	serveNode(t, c, func(url string, client *admin.Client) {
		token, err := client.Tokens().Add(t.Context(), "deploy", operators.Write)
		if err != nil {
			t.Fatal(err)
		}
		p := program{t, url, token, "once"}
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
		plan := fmt.Sprintf(`{"title": "New disk", "text": "Mail stops.", "hosts": ["nc036"], "start": %q, "end": %q}`,
			at(time.Hour), at(2*time.Hour))
		var m, again apiMaintenance
		for _, into := range []*apiMaintenance{&m, &again} {
			if _, status := p.do("POST", "/api/v1/maintenance", plan, into); status != http.StatusCreated {
				t.Fatalf("%d %+v", status, into)
			}
		}
		if m.ID != again.ID || m.State != "scheduled" || m.Covers[0].Host != "NC036" {
			t.Errorf("planned: %+v, again %+v", m, again)
		}
		p.key = ""
		one := "/api/v1/maintenance/" + m.ID
		for _, step := range []struct{ action, body, state string }{
			{"start", `{"text": "We began."}`, "in_progress"},
			{"extend", `{"end": "` + at(3*time.Hour) + `"}`, "in_progress"},
			{"verify", `{}`, "verifying"},
			{"end", `{"text": "Done."}`, "completed"},
		} {
			if _, status := p.do("POST", one+"/"+step.action, step.body, &m); status != 200 || m.State != step.state {
				t.Errorf("%s: %d %+v", step.action, status, m)
			}
		}
		var all []apiMaintenance
		if _, status := p.do("GET", "/api/v1/maintenance", "", &all); status != 200 || len(all) != 1 {
			t.Errorf("%d %+v", status, all)
		}
		for body, field := range map[string]string{
			`{"title": "x", "hosts": ["NC036"]}`:                                                                  "end",
			`{"title": "x", "hosts": ["NC036"], "end": "tomorrow"}`:                                               "end",
			`{"title": "x", "end": "` + at(time.Hour) + `"}`:                                                      "hosts",
			`{"title": "x", "hosts": ["NC9"], "end": "` + at(time.Hour) + `"}`:                                    "hosts",
			`{"title": "x", "hosts": ["NC036"], "checks": ["x"], "end": "` + at(time.Hour) + `"}`:                 "checks",
			`{"title": "x", "hosts": ["NC036"], "start": "2020-01-01T00:00:00Z", "end": "` + at(time.Hour) + `"}`: "start",
			`{"title": "x", "hosts": ["NC036"], "start": "` + at(time.Hour) + `", "end": "2020-01-01T00:00:00Z"}`: "end",
			`{"title": "x", "hosts": ["NC036"], "rrule": "FREQ=DAILY", "end": "` + at(time.Hour) + `"}`:           "rrule",
			`{"title": "", "hosts": ["NC036"], "end": "` + at(time.Hour) + `"}`:                                   "title",
			`{"title": "x", "hosts": ["NC036"], "end": "` + at(time.Hour) + `", "tags": ["a b"]}`:                 "tags",
		} {
			var failed failureJSON
			if _, status := p.do("POST", "/api/v1/maintenance", body, &failed); status != 400 || failed.Field != field {
				t.Errorf("%s: %d %+v", body, status, failed)
			}
		}
		var failed failureJSON
		if _, status := p.do("POST", one+"/cancel", `{}`, &failed); status != 409 && status != 400 {
			t.Errorf("what is over is called off: %d %+v", status, failed)
		}
	})
}
