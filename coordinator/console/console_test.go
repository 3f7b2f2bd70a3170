package console_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// source is a coordinator with three agents. One is silent, one has never connected; London's reaches NC036 over IPv4
// and not over IPv6.
type source struct{ *webtest.Source }

func (source) Warnings() map[string]string { return map[string]string{"disk": "disk almost full"} }
func (source) Counters() map[string]uint64 { return map[string]uint64{"malformed": 3} }

func (source) Streams(context.Context) ([]bus.StreamInfo, error) {
	return []bus.StreamInfo{{Name: "OBS", Messages: 7, Bytes: 3 << 20}}, nil
}

func (source) Health(context.Context) (health.Report, error) {
	return health.Report{Judging: true, Behind: 5, ViewBehind: 2}, nil
}

// Minutes has each step that is asked for. In a minute, each vantage misses six probes and has one answer, after a
// millisecond for each minute of the step.
func (source) Minutes(
	_ context.Context, _ *catalog.Catalog, q latency.MinutesRequest,
) (out []latency.Point, err error) {
	step := max(q.Step, time.Minute)
	for at := q.From; at.Before(q.To) && len(q.Vantages) > 0; at = at.Add(step) {
		p := latency.Point{At: at}
		n := uint64(len(q.Vantages)) * uint64(step/time.Minute)
		p.Outcomes.Unreachable, p.Outcomes.Reachable, p.Sent, p.Lost = 6*n, n, 7*n, 6*n
		p.P50 = time.Duration(step/time.Minute) * time.Millisecond
		p.P90, p.P99 = p.P50+time.Millisecond, p.P50+2*time.Millisecond
		out = append(out, p)
	}
	return out, nil
}

func (source) Losses(context.Context, time.Time, time.Time) ([]latency.VantageLoss, error) {
	return nil, nil
}

func (source) DecidedAt(context.Context, uint64) ([]mesh.Transition, error) { return nil, nil }

func newConsole(t *testing.T) http.Handler {
	t.Helper()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	now := time.Now()
	s.Snapshot.Vantages = []mesh.VantageState{
		{Name: "NC023", Region: "london", LastBatch: now}, {Name: "NC036", LastBatch: now, Silent: true},
		{Name: "NC041", Version: "\xff1"},
	}
	host := &s.Snapshot.Hosts[0]
	host.Checks = host.Checks[:1]
	host.Checks[0].Expiry = &mesh.Expiry{What: mesh.Certificate, At: time.Unix(2e9, 0)}
	host.Checks[0].Advisories = []string{"certificate ends in 4 days"}
	host.Checks[0].Votes = []mesh.RegionVote{{Region: "london", Vote: mesh.OK, Edges: []mesh.EdgeState{
		{
			Vantage: "nc023", Family: mesh.IPv4, Outcome: mesh.Reachable, Vote: mesh.OK, RTT: 12 * time.Millisecond,
			At: now,
		},
		{Vantage: "nc023", Family: mesh.IPv6, Outcome: mesh.Unreachable, Vote: mesh.Bad, Reason: "timeout", At: now},
	}}}
	s.Snapshot.Hosts = s.Snapshot.Hosts[:1]
	return console.New(console.Config{
		Source: source{s}, Site: http.NotFoundHandler(), Version: "1.2",
		Disk: func() (uint64, uint64, error) { return 1 << 30, 4 << 30, nil },
		Notifications: func(context.Context) (console.Notifications, error) {
			return console.Notifications{
				Channels:   []console.ChannelState{{Name: "hook", Sent: 5, Failed: 2, Waiting: 1}},
				Advisories: map[string]int{"disk": 1},
			}, nil
		},
		Names:  []string{"console.example.net"},
		Logger: zerolog.Nop(),
	})
}

func get(t *testing.T, h http.Handler, host, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A page elsewhere may point its name at 127.0.0.1 and ask through an operator's browser.
func TestOnlyNamesOfThisMachineAreAnswered(t *testing.T) {
	h := newConsole(t)
	for host, want := range map[string]int{
		"Console.example.net:443": http.StatusOK,
		"localhost":               http.StatusOK, "127.0.0.1:8081": http.StatusOK, "[::1]:8081": http.StatusOK,
		"elsewhere.example:8081": http.StatusMisdirectedRequest, "192.0.2.1": http.StatusMisdirectedRequest,
		"localhost.elsewhere.example": http.StatusMisdirectedRequest,
	} {
		if w := get(t, h, host, "/agents"); w.Code != want {
			t.Errorf("Host %s: status %d, want %d", host, w.Code, want)
		}
	}
}

func TestPages(t *testing.T) {
	h := newConsole(t)
	for path, wants := range map[string][]string{
		"/": {
			"Disk almost full.", "running", "2 events behind", "Stream OBS", "7 messages, 3 MiB", "1 GiB free of 4 GiB",
			"certificate ends in 4 days", "1 of 3 agents connected",
		},
		"/agents": {"● connected", "■ silent", "○ never connected", "never<"},
		"/matrix": {"timeout", "the host itself", "✕"}, // of two address families the worse
	} {
		text := get(t, h, "localhost", path).Body.String()
		plain := strings.NewReplacer(`<span class="shape" aria-hidden="true">`, "", "</span>", "").Replace(text)
		for _, want := range wants {
			if !strings.Contains(plain, want) && !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	if strings.Contains(get(t, h, "localhost", "/matrix").Body.String(), `title="12.0 ms`) {
		t.Error("the matrix shows the better of two address families")
	}
}

// A page's tables come as CSV and JSON, by ?format= or by the path's end.
func TestTablesForPrograms(t *testing.T) {
	h := newConsole(t)
	for _, path := range []string{"/agents?format=csv", "/agents.csv"} {
		w := get(t, h, "localhost", path)
		if !strings.HasPrefix(w.Body.String(), "agent,region,addresses,state,") ||
			!strings.Contains(w.Body.String(), "NC023,london") {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/agents?format=json", "/agents.json"} {
		if w := get(t, h, "localhost", path); !strings.Contains(w.Body.String(), `"agent": "NC023"`) {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
	for path, want := range map[string]int{
		"/agents?format=xml": http.StatusBadRequest, "/agents?format=csv&table=none": http.StatusNotFound,
		"/elsewhere.csv": http.StatusNotFound, "/console/events?page=/elsewhere": http.StatusNotFound,
	} {
		if w := get(t, h, "localhost", path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

// The overview says which region alone cannot reach what, since when, how often it missed, why clients read nothing of
// it, and how the check leaves the region out.
func TestALonelyRegionIsExplained(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	since := time.Now().Add(-62*time.Minute - 30*time.Second)
	for i := range s.Snapshot.Hosts {
		for k := range s.Snapshot.Hosts[i].Checks {
			c := &s.Snapshot.Hosts[i].Checks[k]
			for n := range c.Votes {
				c.Votes[n].Vote, c.Votes[n].Why = mesh.OK, ""
				c.Votes[n].Edges = []mesh.EdgeState{
					{Vantage: "nc023", Outcome: mesh.Reachable, Vote: mesh.OK, At: time.Now()},
				}
			}
			c.Since = since.Add(-time.Hour)
			if c.Name == "Sending mail" {
				c.Tally.Bad = 1
				n := slices.IndexFunc(c.Votes, func(v mesh.RegionVote) bool { return v.Region == "lusaka" })
				c.Votes[n].Vote, c.Votes[n].Since, c.Votes[n].Why = mesh.Bad, since, "timeout"
				c.Votes[n].Edges = []mesh.EdgeState{{
					Vantage: "nc034", Outcome: mesh.Unreachable, Vote: mesh.Bad, Since: since, LastBad: time.Now(),
				}}
			}
		}
	}
	s.Snapshot.Vantages = []mesh.VantageState{{Name: "NC034", Region: "lusaka", LastBatch: time.Now()}}
	h := console.New(console.Config{Source: source{s}, Site: http.NotFoundHandler(), Logger: zerolog.Nop()})
	text := html.UnescapeString(get(t, h, "localhost", "/").Body.String())
	for _, want := range []string{
		"Lusaka alone does not reach NC036 Sending mail", "1 h 2 min", "378 misses since " + since.UTC().Format("15:04 UTC"),
		"below what publishes (2 must agree)", "except: [lusaka]", `href="/hosts/NC036/checks/Sending%20mail"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
}

// A region that a check leaves out is named where its votes are shown, for readers and for programs.
func TestVotesNameTheRegionsLeftOut(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Hosts[0].Checks[0].Except = []string{"lusaka"}
	h := console.New(console.Config{Source: source{s}, Site: http.NotFoundHandler(), Logger: zerolog.Nop()})
	host, check := s.Snapshot.Hosts[0].Name, s.Snapshot.Hosts[0].Checks[0].Name
	const want = "except of the check leaves the region out"
	for _, path := range []string{"/hosts/" + host, "/hosts/" + host + "/checks/" + check} {
		if text := get(t, h, "localhost", path).Body.String(); strings.Count(text, want) != 1 {
			t.Errorf("%s does not say once that %s", path, want)
		}
		csv := get(t, h, "localhost", path+"?table=votes&format=csv").Body.String()
		if !strings.Contains(csv, ",lusaka,false,none,,,not asked,no result,,"+want+",,\n") {
			t.Errorf("%s as CSV: %s", path, csv)
		}
	}
}

// records is a ledger with two catalogs: the one before has no check "Sending mail".
type records struct{ now, before *catalog.Catalog }

func (r records) CatalogChanges(context.Context, int) ([]ledger.Change, error) {
	return []ledger.Change{
		{At: time.Now(), Revision: r.now.Revision, Source: "b.yaml", Changes: catalog.Compare(r.before, r.now)},
		{At: time.Now().Add(-time.Hour), Revision: r.before.Revision, Source: "a.yaml"},
	}, nil
}

func (r records) Catalog(_ context.Context, revision string) (*catalog.Catalog, error) {
	if revision == r.before.Revision {
		return r.before, nil
	}
	return nil, errors.New("none")
}

func (records) Agents(context.Context) ([]ledger.Agent, error) {
	return []ledger.Agent{{Name: "nc036", Enrolled: time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)}}, nil
}

func (records) Pauses(_ context.Context, _, to time.Time) ([]sla.Window, error) {
	return []sla.Window{{From: to.Add(-3 * time.Hour), To: to.Add(-2 * time.Hour)}}, nil
}

// beforeSendingMail returns the catalog as it was without the check "Sending mail".
func beforeSendingMail(c *catalog.Catalog) *catalog.Catalog {
	before := *c
	before.Hosts = slices.Clone(before.Hosts)
	for i := range before.Hosts {
		before.Hosts[i].Checks = slices.DeleteFunc(slices.Clone(before.Hosts[i].Checks), func(c catalog.Check) bool {
			return c.Name == "Sending mail"
		})
	}
	catalog.Seal(&before)
	return &before
}

// Charts and the list below them name what may explain the values: changes of the catalog that concern the check, and
// when no coordinator judged.
func TestChartsMarkTheCatalogAndPauses(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Vantages = []mesh.VantageState{{Name: "NC034", Region: "lusaka", LastBatch: time.Now()}}
	s.Snapshot.At, s.Snapshot.Offset = time.Now().Add(time.Minute).Truncate(time.Second), 7*time.Second
	before := beforeSendingMail(s.Catalog)
	h := console.New(console.Config{
		Source: source{s}, Records: records{s.Catalog, before}, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
	})
	for path, changed := range map[string]bool{
		"/hosts/NC036/checks/Sending%20mail": true, "/pairs/NC034/NC036/Sending%20mail": true,
		"/hosts/NC036/checks/ping": false,
	} {
		text := get(t, h, "localhost", path).Body.String()
		events := get(t, h, "localhost", path+"?format=json&table=events").Body.String()
		for _, in := range []string{text, events} {
			pause := s.Snapshot.At.Add(-3 * time.Hour).UTC().Format("15:04:05")
			if !strings.Contains(in, "No coordinator judged") || !strings.Contains(in, pause) ||
				strings.Contains(in, "Catalog changed: NC036 Sending mail: added") != changed {
				t.Errorf("%s: %s", path, events)
			}
		}
	}
}

// The catalog's page has its history and the differences between two versions, and no password.
func TestCatalogHistoryAndDifferences(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Vantages = []mesh.VantageState{{Name: "NC036", LastBatch: time.Now()}}
	before := beforeSendingMail(s.Catalog)
	h := console.New(console.Config{
		Source: source{s}, Records: records{s.Catalog, before}, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
	})
	text := get(t, h, "localhost", "/catalog?from="+before.Revision).Body.String()
	for _, want := range []string{
		"from b.yaml", "in force", "From " + before.Revision + " to " + s.Catalog.Revision, "NC036 Sending mail: added",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if w := get(t, h, "localhost", "/catalog?from=000000000000"); w.Code != http.StatusNotFound {
		t.Errorf("a revision that never was: %d", w.Code)
	}
	if text := get(t, h, "localhost", "/agents").Body.String(); !strings.Contains(text, "1 Mar 2026 02:31:00 UTC") {
		t.Error("the agents' page does not say since when the credential is valid")
	}
}

// A long list of changes is cut, and its number is not.
func TestTheCatalogCountsAllChanges(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	empty := &catalog.Catalog{Rule: s.Catalog.Rule, Regions: s.Catalog.Regions}
	catalog.Seal(empty)
	all := len(catalog.Compare(empty, s.Catalog))
	h := console.New(console.Config{
		Source: source{s}, Records: records{s.Catalog, empty}, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
	})
	text := get(t, h, "localhost", "/catalog").Body.String()
	for _, want := range []string{fmt.Sprintf("%d changes", all), fmt.Sprintf("And %d more", all-30)} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
