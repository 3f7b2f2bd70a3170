package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"crypto/sha256"
	"encoding/base64"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/page"
	"github.com/probemesh/probemesh/deploy/examples"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// source shows what a test says.
type source struct {
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
	changed  chan struct{}
	ready    bool

	incidents []*incident.Incident
}

func (s *source) Current() (*catalog.Catalog, *mesh.Snapshot) { return s.catalog, s.snapshot }
func (s *source) Changed() <-chan struct{}                    { return s.changed }
func (s *source) Ready() bool                                 { return s.ready }

func (s *source) Transitions(context.Context, string, time.Time, int) ([]mesh.Transition, error) {
	at := time.Date(2026, 3, 1, 2, 31, 7, 0, time.UTC)
	var out []mesh.Transition
	for range 40 {
		out = append(out, mesh.Transition{
			Host: "NC036", Public: true, Check: "Sending mail", Was: mesh.Up, Verdict: mesh.Down, From: mesh.Operational, To: mesh.PartialOutage,
			Began: at, Published: at.Add(2 * time.Second), Sentence: `Down: 7 of 7 regions got "<refused>", first from Toronto at 02:31:07.`,
		})
	}
	return out, nil
}

// story is an open incident of one host, and a resolved one.
func story() []*incident.Incident {
	at := time.Now().UTC().Add(-61*time.Minute - 30*time.Second)
	window := incident.Window{Check: "Sending mail", Verdict: mesh.Down, From: at, To: at.Add(21*time.Minute + 3*time.Second)}
	said := []incident.Update{{ID: "1", At: at, State: incident.Investigating, Host: "NC036", Check: "Sending mail", Was: mesh.Up, Verdict: mesh.Down, Body: "Down: 7 of 7 regions got '<refused>'."}}
	resolved := incident.Incident{
		ID: "a1-1", State: incident.Resolved, Impact: incident.Major, Began: at, Opened: at, Updated: at, Resolved: window.To,
		Hosts: []incident.Host{{Name: "NC036", Status: mesh.Operational, Worst: mesh.PartialOutage, Windows: []incident.Window{window}}}, Updates: said,
	}
	open := resolved
	open.ID, open.State, open.Resolved = "a2-1", incident.Investigating, time.Time{}
	open.Hosts = []incident.Host{{Name: "NC041", Status: mesh.MajorOutage, Worst: mesh.MajorOutage, Windows: []incident.Window{{Check: "ping", Verdict: mesh.Down, From: at}}}}
	return []*incident.Incident{&open, &resolved}
}

func (s *source) Incidents(_ context.Context, since time.Time, _ int) (out []*incident.Incident, err error) {
	for _, i := range s.incidents {
		if i.Open() || i.Resolved.After(since) {
			out = append(out, i)
		}
	}
	return out, nil
}

func (s *source) Incident(_ context.Context, id string) (*incident.Incident, error) {
	for _, i := range s.incidents {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, nil
}

// newSource has every host of the example with the verdict.
func newSource(t *testing.T, verdict mesh.Verdict, status mesh.Status) *source {
	t.Helper()
	c, err := catalog.Parse("ninernet.yaml", examples.Ninernet, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s := &source{catalog: c, snapshot: &mesh.Snapshot{At: time.Now(), Revision: c.Revision}, changed: make(chan struct{})}
	for _, h := range c.Hosts {
		state := mesh.HostState{Name: h.Name, Region: h.Region, Public: h.Public, Status: status, Since: time.Now(), Sentence: "Unknown: too little to tell."}
		for _, check := range h.Checks {
			cs := mesh.CheckState{Name: check.Name, Kind: check.Kind, Critical: true, Verdict: verdict, Since: time.Now(), Sentence: "Unknown: too little to tell.", Tally: mesh.Tally{Regions: 8, Voters: 7}}
			for _, r := range c.Regions {
				cs.Votes = append(cs.Votes, mesh.RegionVote{Region: r.Name, Own: r.Name == h.Region, Vote: mesh.Bad, Why: "refused", Edges: []mesh.EdgeState{{Vantage: "nc023"}}})
			}
			state.Checks = append(state.Checks, cs)
		}
		s.snapshot.Hosts = append(s.snapshot.Hosts, state)
	}
	return s
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func public(s *source) http.Handler { return page.New(page.Config{Source: s, Logger: zerolog.Nop()}) }

func TestOnePageIsOneSmallRequestThatRunsNothingElse(t *testing.T) {
	h := public(newSource(t, mesh.Down, mesh.MajorOutage))
	for _, path := range []string{"/", "/hosts/nc036", "/matrix", "/nothing"} {
		w := get(t, h, path)
		body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		if len(body) > 30<<10 {
			t.Errorf("%s has %d bytes", path, len(body))
		}
		for _, part := range []string{"style", "script"} {
			inline := regexp.MustCompile(`(?s)<` + part + `>(.*?)</` + part + `>`).FindStringSubmatch(body)
			if inline == nil {
				t.Fatalf("%s has no %s", path, part)
			}
			sum := sha256.Sum256([]byte(inline[1]))
			if !strings.Contains(policy, part+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
				t.Errorf("%s: the policy does not let its own %s run: %s", path, part, policy)
			}
		}
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(body, "<refused>") || regexp.MustCompile(`(src|href)="(https?:)?//[^"]*\.(js|css|png)`).MatchString(body) {
			t.Errorf("%s loads or shows what it must not", path)
		}
	}
	if w := get(t, h, "/nothing"); w.Code != http.StatusNotFound {
		t.Error(w.Code)
	}
}

func TestUnknownIsNeverShownAsUp(t *testing.T) {
	h := public(newSource(t, mesh.Unknown, mesh.StatusUnknown))
	if body := get(t, h, "/").Body.String(); strings.Contains(body, "Operational") || !strings.Contains(body, "Unknown") {
		t.Error("the page calls an unknown system operational")
	}
	var summary struct {
		Page       struct{ ID, Name, URL, TimeZone, UpdatedAt string }
		Status     struct{ Indicator, Description string }
		Components []struct {
			Name, Status, Description string
			Group                     bool
		}
		Incidents, ScheduledMaintenances []any
	}
	if err := json.Unmarshal(get(t, h, "/api/v2/summary.json").Body.Bytes(), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Status.Indicator != "minor" || !strings.HasPrefix(summary.Status.Description, "Unknown: ") {
		t.Error(summary.Status)
	}
	for _, c := range summary.Components {
		if c.Status != "degraded_performance" || !strings.HasPrefix(c.Description, "Unknown: ") {
			t.Errorf("%+v", c)
		}
	}
}

// The keys that Statuspage's own API has, in every answer.
func TestTheShapeIsStatuspages(t *testing.T) {
	h := public(newSource(t, mesh.Up, mesh.Operational))
	for path, keys := range map[string][]string{
		"summary": {"page", "components", "incidents", "scheduled_maintenances", "status"}, "status": {"page", "status"},
		"components": {"page", "components"}, "incidents": {"page", "incidents"}, "incidents/unresolved": {"page", "incidents"},
		"scheduled-maintenances": {"page", "scheduled_maintenances"}, "scheduled-maintenances/upcoming": {"page", "scheduled_maintenances"},
		"scheduled-maintenances/active": {"page", "scheduled_maintenances"},
	} {
		var got map[string]json.RawMessage
		if err := json.Unmarshal(get(t, h, "/api/v2/"+path+".json").Body.Bytes(), &got); err != nil {
			t.Fatal(path, err)
		}
		for _, key := range keys {
			if _, ok := got[key]; !ok || len(got) != len(keys) {
				t.Errorf("%s has %d keys and %q is %v", path, len(got), key, ok)
			}
		}
	}
	var all struct{ Components []map[string]any }
	if err := json.Unmarshal(get(t, h, "/api/v2/components.json").Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Components {
		for _, key := range []string{"id", "name", "status", "created_at", "updated_at", "position", "description", "showcase", "start_date", "group_id", "page_id", "group", "only_show_if_degraded"} {
			if _, ok := c[key]; !ok {
				t.Errorf("%v lacks %s", c["name"], key)
			}
		}
		if members, ok := c["components"].([]any); c["group"] == true != ok || ok && len(members) == 0 {
			t.Errorf("%v: a group names its components, and nothing else does", c["name"])
		}
	}
}

func TestAReaderIsToldOfAChange(t *testing.T) {
	s := newSource(t, mesh.Up, mesh.Operational)
	server := httptest.NewServer(public(s))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/events?page=/", nil)
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	until := func(want string) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("never heard %q: %v", want, err)
			}
			if strings.Contains(line, want) {
				return
			}
		}
	}
	until("All systems operational")
	until("event: status")
	until("data: ")
	later := newSource(t, mesh.Down, mesh.MajorOutage)
	old := s.changed
	s.snapshot, s.changed = later.snapshot, make(chan struct{})
	close(old)
	until("Major outage")
}

func TestReadinessAndLimits(t *testing.T) {
	s := newSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	if w := get(t, h, "/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Error(w.Code)
	}
	s.ready = true
	if w := get(t, h, "/readyz"); w.Code != http.StatusOK {
		t.Error(w.Code)
	}
	h = public(s) // which nobody has asked anything yet
	refused := func(n int, path string) (refused int) {
		for range n {
			if w := get(t, h, path); w.Code == http.StatusTooManyRequests {
				refused++
			}
		}
		return refused
	}
	if n := refused(2000, "/"); n > 0 { // an office behind one address, that is told at once
		t.Errorf("%d of an office's 2000 requests were refused", n)
	}
	if n := refused(50, "/api/v2/summary.json"); n > 0 {
		t.Errorf("%d of a program's 50 requests were refused", n)
	}
	for _, path := range []string{"/", "/api/v2/summary.json"} {
		if refused(20_000, path) == 0 {
			t.Error("one client may ask without end for " + path)
		}
	}
	if body, _ := io.ReadAll(get(t, public(s), "/badge/NC036.svg").Body); !strings.Contains(string(body), "NC036: Operational") {
		t.Errorf("badge %s", body)
	}
}
