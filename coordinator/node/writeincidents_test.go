package node_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/catalog"
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
	Updates          []struct {
		ID   string
		Text struct {
			Body   string
			Erased bool
		}
	}
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
		p.key = "merge"
		merged := i.ID
		for range 2 {
			do("POST", "/api/v1/incidents/"+other.ID+"/merge", `{"into": "`+merged+`"}`, 200, &i)
			if i.ID != merged {
				t.Errorf("merged into %s, answered with %+v", merged, i)
			}
		}
		p.key = ""
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
		do("GET", "/api/v1/incidents?per_page=1&page=2", "", 200, &all)
		if len(all) != 0 {
			t.Errorf("the second page: %+v", all)
		}
		do("GET", "/api/v1/incidents?page=0", "", 400, &failureJSON{})
		erasesUpdates(t, p, one, i)
		refusesIncidents(t, p, one, other.ID)
	})
}

// erasesUpdates checks that an update is erased by its address, or while it is corrected.
func erasesUpdates(t *testing.T, p program, one string, i apiIncident) {
	t.Helper()
	corrected, last := i.Updates[1].ID, i.Updates[len(i.Updates)-1].ID
	body := `{"entry": "` + corrected + `", "text": "Three disks.", "erase": true}`
	i = apiIncident{}
	if _, status := p.do("PATCH", one, body, &i); status != 200 || i.Updates[1].Text != "Three disks." ||
		len(i.Updates[1].Before) > 0 {
		t.Errorf("corrected and erased: %d %+v", status, i.Updates)
	}
	var removal struct {
		ID     string
		Erased bool
	}
	if _, status := p.do("DELETE", one+"/updates/"+last, "", &removal); status != 200 || !removal.Erased ||
		removal.ID != last {
		t.Errorf("erased: %d %+v", status, removal)
	}
	p.do("GET", one, "", &i)
	if got := i.Updates[len(i.Updates)-1].Text; got != "The text of this update was removed." {
		t.Errorf("in place of what was erased is %q", got)
	}
	for path, want := range map[string]int{"/updates/" + last: 409, "/updates/nothing": 404} {
		if _, status := p.do("DELETE", one+path, "", &failureJSON{}); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

// A preview answers with what readers would get, and writes nothing.
func TestAProgramPreviewsWhatItWrites(t *testing.T) {
	c := config(t)
	c.Catalog.Incidents = &catalog.Incidents{Templates: []catalog.Template{
		{Name: "delay", Title: "Late mail", Text: "It is *late*."},
	}}
	catalog.Seal(c.Catalog)
	serveNode(t, c, func(url string, client *admin.Client) {
		token, err := client.Tokens().Add(t.Context(), "deploy", operators.Write)
		if err != nil {
			t.Fatal(err)
		}
		p := program{t, url, token, ""}
		end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		var post struct{ ID string }
		if _, status := p.do("POST", "/api/v1/posts", `{"title": "A", "text": "b"}`, &post); status != 201 {
			t.Fatal(status)
		}
		for path, body := range map[string]string{
			"POST /api/v1/incidents": `{"title": "Late mail", "text": "It is *late*.", "preview": true,
				"hosts": ["NC036"]}`,
			"POST /api/v1/incidents?by=template": `{"template": "delay", "preview": true, "hosts": ["NC036"]}`,
			"POST /api/v1/posts": `{"title": "Late mail", "text": "It is *late*.", "preview": true,
				"tags": ["smtp"]}`,
			"PATCH /api/v1/posts/" + post.ID: `{"title": "Late mail", "text": "It is *late*.", "preview": true}`,
			"POST /api/v1/maintenance": `{"title": "Late mail", "text": "It is *late*.", "hosts": ["NC036"], "overrun": "10m",
				"end": "` + end + `", "preview": true}`,
		} {
			method, address, _ := strings.Cut(path, " ")
			var got struct {
				Preview    bool
				Page, HTML string
			}
			_, status := p.do(method, address, body, &got)
			if status != 200 || !got.Preview || got.HTML != "<p>It is <em>late</em>.</p>\n" ||
				!strings.Contains(got.Page, "It is *late*.") || !strings.HasPrefix(got.Page, "Late mail\n") {
				t.Errorf("%s: %d %+v", path, status, got)
			}
		}
		var failed failureJSON
		wrong := `{"title": "", "text": "x", "preview": true}`
		if _, status := p.do("POST", "/api/v1/posts", wrong, &failed); status != 400 || failed.Field != "title" {
			t.Errorf("a wrong post is previewed: %d %+v", status, failed)
		}
		for path, want := range map[string]int{"incidents": 0, "posts": 1, "maintenance": 0} {
			var all []struct{ ID, Title string }
			if p.do("GET", "/api/v1/"+path, "", &all); len(all) != want || want == 1 && all[0].Title != "A" {
				t.Errorf("after previews there are the %s %+v", path, all)
			}
		}
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
		{"/api/v1/incidents", `{"title": "x", "text": "x", "hosts": ["NC036"], "impact": 3}`, 400, "impact"},
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
		now := time.Now() // once: what is planned takes an hour to the second
		at := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339) }
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
		moved := time.Now().Add(90 * time.Minute).UTC().Truncate(time.Second)
		if _, status := p.do("PATCH", one, `{"start": "`+moved.Format(time.RFC3339)+`"}`, &m); status != 200 ||
			!m.Start.Equal(moved) || m.End.Sub(m.Start) != time.Hour {
			t.Errorf("moved: %d %+v", status, m)
		}
		for action, field := range map[string]string{
			`extend {"end": "2020-01-01T00:00:00Z"}`: "end", `start {"end": "2020-01-01T00:00:00Z"}`: "end",
			`start {"text": "\u0007"}`: "text",
		} {
			action, body, _ := strings.Cut(action, " ")
			var failed failureJSON
			if _, status := p.do("POST", one+"/"+action, body, &failed); status != 400 || failed.Field != field {
				t.Errorf("%s %s: %d %+v", action, body, status, failed)
			}
		}
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
		if _, status := p.do("PATCH", one, `{"title": "A new disk", "tags": ["disk"]}`, &m); status != 200 ||
			m.Title != "A new disk" {
			t.Errorf("corrected: %d %+v", status, m)
		}
		var removal struct{ Erased bool }
		if _, status := p.do("DELETE", one+"/updates/"+m.Updates[2].ID, "", &removal); status != 200 || !removal.Erased {
			t.Errorf("erased: %d %+v", status, removal)
		}
		m = apiMaintenance{}
		if p.do("GET", one, "", &m); m.Updates[2].Text.Body != "" || !m.Updates[2].Text.Erased {
			t.Errorf("erased: %+v", m)
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
			`{"title": "x", "hosts": ["NC036"], "overrun": "soon", "end": "` + at(time.Hour) + `"}`:               "overrun",
			`{"title": "x", "hosts": ["NC036"], "overrun": "9000h", "end": "` + at(time.Hour) + `"}`:              "overrun",
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
