package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// addresses are the requests with which the walk visits each route, by pattern. A route that is missing here fails the
// walk, so that nobody adds one without saying how to visit it.
func (m *markedMesh) addresses(t *testing.T) map[string][]string {
	pages := []string{
		"/", "/matrix", "/nothing", "/hosts/nobody", "/maintenance", "/maintenance/" + plannedID, "/maintenance/nothing",
	}
	out := map[string][]string{
		"GET /maintenance": {"/maintenance"}, "GET /maintenance.ics": {"/maintenance.ics"},
		"GET /maintenance/{id}": {"/maintenance/" + plannedID, "/maintenance/nothing"},
		"GET /api/v2/scheduled-maintenances/{file}": {
			"/api/v2/scheduled-maintenances/" + plannedID + ".json", "/api/v2/scheduled-maintenances/nothing.json",
		},
		"GET /widget.js": {"/widget.js"},
		"GET /badge.svg": {"/badge.svg"}, "GET /badge/{host}/{file}": {"/badge/nobody/smtp.svg"},
		"GET /{$}": {"/"}, "GET /matrix": {"/matrix"}, "GET /rule": {"/rule"},
		"GET /healthz": {"/healthz"}, "GET /readyz": {"/readyz"},
		"GET /": {"/nothing"}, "GET /api/": {"/api/nothing", "/api/"},
		"GET /api/v1/matrix": {"/api/v1/matrix"},
		"GET /api/v1/transitions": {"/api/v1/transitions", "/api/v1/transitions?since=2020-01-01T00:00:00Z",
			"/api/v1/transitions?host=nobody"},
		"GET /api/v1/openapi.json": {"/api/v1/openapi.json"}, "GET /api/v1/audit": {"/api/v1/audit"},
		"GET /api/v1/incidents": {"/api/v1/incidents"}, "GET /api/v1/incidents/{id}": {"/api/v1/incidents/x"},
		"GET /api/v1/maintenance": {"/api/v1/maintenance"}, "GET /api/v1/maintenance/{id}": {"/api/v1/maintenance/x"},
		"GET /api/v1/posts": {"/api/v1/posts"}, "GET /api/v1/posts/{id}": {"/api/v1/posts/x"},
		"GET /api/v1/uptime":  {"/api/v1/uptime", "/api/v1/uptime?days=7", "/api/v1/uptime?host=nobody"},
		"GET /api/v1/latency": {"/api/v1/latency", "/api/v1/latency?by=day", "/api/v1/latency?host=nobody"},
	}
	for _, part := range []string{
		"status", "components", "scheduled-maintenances", "scheduled-maintenances/upcoming",
		"scheduled-maintenances/active", "incidents",
		"incidents/unresolved", "summary", "history",
	} {
		path := "/api/v2/" + part + ".json"
		out["GET "+path] = []string{path}
	}
	month := m.now.UTC().Format("/history/2006/01")
	for pattern, of := range map[string][]string{
		"GET /posts/{id}": {"/posts/" + publicPost, "/posts/" + internalPost, "/posts/nobody"}, "GET /history": {"/history"},
		"GET /history/{year}/{month}": {month, "/history/1999/01", "/history/x/y"},
		"GET /tags/{tag}":             {"/tags/shown", "/tags/nobody"},
		"GET /categories/{category}":  {"/categories/mail", "/categories/nobody"},
		"GET /sitemap.xml":            {"/sitemap.xml"}, "GET /robots.txt": {"/robots.txt"},
		"GET /search": {"/search", "/search?q=words", "/search?q=major", "/search?host=NC1", "/search?q=%22",
			"/search?kind=incident", "/search?tag=shown&from=2020-01-01&to=x"},
	} {
		out[pattern] = of
	}
	for _, format := range []string{"rss", "atom", "json"} {
		feed := "/feed." + format
		out["GET "+feed] = []string{feed}
		out["GET /hosts/{host}"+feed] = []string{"/hosts/NC1" + feed, "/hosts/nobody" + feed}
		out["GET /tags/{tag}"+feed] = []string{"/tags/shown" + feed, "/tags/nobody" + feed}
		out["GET /categories/{category}"+feed] = []string{"/categories/mail" + feed}
	}
	for _, f := range web.Files() {
		out["GET "+f.Path] = []string{f.Path}
	}
	for _, h := range m.catalog.Hosts {
		if h.Public {
			pages = append(pages, "/hosts/"+h.Name)
			out["GET /hosts/{host}"] = append(out["GET /hosts/{host}"], "/hosts/"+h.Name)
			for _, check := range []string{"smtp", "WEB", "nothing"} {
				path := "/hosts/" + h.Name + "/checks/" + check
				pages = append(pages, path)
				out["GET /hosts/{host}/checks/{check}"] = append(out["GET /hosts/{host}/checks/{check}"], path)
			}
			out["GET /badge/{file}"] = append(out["GET /badge/{file}"], "/badge/"+h.Name+".svg",
				"/badge/"+h.Name+".json")
			out["GET /badge/{host}/{file}"] = append(out["GET /badge/{host}/{file}"], "/badge/"+h.Name+"/smtp.svg",
				"/badge/"+h.Name+"/SMTP.json")
			out["GET /api/v1/hosts/{host}/votes"] = append(out["GET /api/v1/hosts/{host}/votes"],
				"/api/v1/hosts/"+h.Name+"/votes")
			out["GET /api/v1/transitions"] = append(out["GET /api/v1/transitions"], "/api/v1/transitions?host="+h.Name)
			out["GET /api/v1/latency"] = append(out["GET /api/v1/latency"], "/api/v1/latency?host="+h.Name)
			out["GET /api/v1/uptime"] = append(out["GET /api/v1/uptime"], "/api/v1/uptime?host="+h.Name)
		}
	}
	incidents, err := m.view.Incidents(t.Context(), view.IncidentQuery{Limit: 100})
	if err != nil || len(incidents) == 0 {
		t.Fatalf("%d incidents (%v)", len(incidents), err)
	}
	for _, i := range incidents {
		pages = append(pages, "/incidents/"+i.ID)
		out["GET /incidents/{id}"] = append(out["GET /incidents/{id}"], "/incidents/"+i.ID)
		out["GET /api/v2/incidents/{id}"] = append(out["GET /api/v2/incidents/{id}"], "/api/v2/incidents/"+i.ID+".json")
	}
	out["GET /api/v1/events"] = []string{"/api/v1/events"}
	for _, p := range pages {
		out["GET /api/v1/events"] = append(out["GET /api/v1/events"], "/api/v1/events?page="+p)
	}
	return out
}

// walk visits every route of the public site and API, and returns the answers by address. Their caches are empty.
func (m *markedMesh) walk(t *testing.T) map[string]string {
	t.Helper()
	addresses, out := m.addresses(t), map[string]string{}
	all := routes(m, web.Public, web.StreamsConfig{})
	handler := web.NewHandler(zerolog.Nop(), web.Public, all...)
	for _, route := range all {
		if !strings.HasPrefix(route.Pattern, "GET ") { // these need a token
			address := placeholder.ReplaceAllString(route.Pattern, "x")
			if out[address] = visit(t, handler, address); !strings.HasPrefix(out[address], "4") &&
				!strings.HasPrefix(out[address], "503") {
				t.Errorf("%s is answered without a token: %.100s", address, out[address])
			}
			continue
		}
		if len(addresses[route.Pattern]) == 0 {
			t.Fatalf("the route %q is not visited: add its addresses to this test", route.Pattern)
		}
		for _, address := range addresses[route.Pattern] {
			out[address] = visit(t, handler, address)
		}
	}
	for _, address := range []string{"/api/v1/events?page=/", "/api/v1/events?page=/hosts/NC1"} {
		if answer := out[address]; !strings.Contains(answer, "event: page") ||
			!strings.Contains(answer, "event: status") {
			t.Fatalf("%s sends no events: %s", address, answer)
		}
	}
	return out
}

// placeholder is a part of a pattern that stands for any name.
var placeholder = regexp.MustCompile(`\{[^}]+\}`)

// visit returns the whole answer, headers included. An event stream ends after its first events, since its client has
// already disconnected.
func visit(t *testing.T, h http.Handler, address string) string {
	t.Helper()
	method, path, found := strings.Cut(address, " ")
	if !found {
		method, path = http.MethodGet, address
	}
	r := httptest.NewRequest(method, path, nil)
	r.Host = "localhost"
	r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", visits.Add(1)%250) // a client each: one alone may not ask that often
	if strings.Contains(address, "/events") {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r = r.WithContext(gone)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return fmt.Sprint(w.Code, w.Header(), w.Body)
}

// visits counts the visits of all tests.
var visits atomic.Uint32

func marked(answer string) bool { return strings.Contains(strings.ToLower(answer), mark) }

// leakTest visits all addresses in state after state of a mesh.
type leakTest struct {
	mesh  *markedMesh
	shown map[string]int        // how often operators saw the mark, by "state address"
	seen  map[mesh.Verdict]bool // verdicts of the checks of NC1 during a visit
}

// visitAll fails the test if a public address shows the mark, and counts where operators see it.
func (l *leakTest) visitAll(t *testing.T, state string) {
	t.Helper()
	_, snapshot := l.mesh.Current()
	for _, c := range snapshot.Hosts[0].Checks {
		l.seen[c.Verdict] = true
	}
	for address, answer := range l.mesh.walk(t) {
		if marked(answer) {
			at := strings.Index(strings.ToLower(answer), mark)
			t.Errorf("%s: %s shows %q", state, address, answer[max(0, at-80):min(len(answer), at+60)])
		}
	}
	inside := operatorsSite(l.mesh)
	operators := console.New(console.Config{Source: l.mesh, Site: inside, Logger: zerolog.Nop()})
	for _, address := range []string{
		"/", "/matrix", "/agents", "/hosts/nc1", "/api/v1/hosts/nc1/votes", "/console/events?page=/matrix",
	} {
		if marked(visit(t, operators, address)) {
			l.shown[state+" "+address]++
		}
	}
}

// wantVerdict fails the test if the state that the next visit is about was not reached.
func (l *leakTest) wantVerdict(t *testing.T, want mesh.Verdict) {
	t.Helper()
	if c := l.mesh.check(); c.Verdict != want {
		t.Fatalf("the check is %s, want %s: %s", c.Verdict, want, c.Sentence)
	}
}

// failEverywhere has no region reach NC1.
func (l *leakTest) failEverywhere() { l.mesh.fail("lon", "van", "nyc", "tor", "lus", "syd", "sea") }

// outage visits a mesh that starts, fails in one region, in three and in all, and recovers.
func (l *leakTest) outage(t *testing.T) {
	m := l.mesh
	l.visitAll(t, "as an earlier version left it")
	m.run(6 * time.Second)
	l.visitAll(t, "pending")
	m.run(40 * time.Second)
	l.wantVerdict(t, mesh.Up)
	l.visitAll(t, "up")
	m.fail("lus")
	m.run(30 * time.Second)
	if c := m.check(); c.Verdict != mesh.Up || c.Tally.Bad != 1 {
		t.Fatal(c.Sentence)
	}
	l.visitAll(t, "one region bad")
	m.fail("lus", "van", "nyc")
	for n := range 30 { // rounds are open at some of these moments
		m.run(time.Second)
		if !testenv.Race || n%6 == 0 {
			l.visitAll(t, "turning partial")
		}
	}
	l.wantVerdict(t, mesh.Partial)
	l.failEverywhere()
	for i := range m.reasons {
		m.first = i
		m.run(12 * time.Second)
		l.visitAll(t, "down")
	}
	l.wantVerdict(t, mesh.Down)
	m.restart(t)
	l.visitAll(t, "after a restart")
	m.fail()
	m.run(40 * time.Second)
	l.visitAll(t, "recovered")
}

// Every text of agents, of probed servers and of earlier versions has the mark here, and so has everything that only
// operators may know. No public address shows it in any state of the mesh. Operators find it.
func TestThePublicNeverReadsWhatAgentsOrServersWrote(t *testing.T) {
	l := &leakTest{mesh: newMarkedMesh(t), shown: map[string]int{}, seen: map[mesh.Verdict]bool{}}
	l.outage(t)
	m := l.mesh
	for n := range 14 {
		l.failEverywhere()
		m.run(15 * time.Second)
		m.fail()
		m.run(15 * time.Second)
		if !testenv.Race || n%6 == 1 {
			l.visitAll(t, "flapping")
		}
	}
	m.silent = []string{"lon", "van", "nyc", "tor"}
	m.run(12 * time.Second)
	l.visitAll(t, "half silent")
	m.silent = append(m.silent, "lus", "syd", "sea")
	m.run(60 * time.Second)
	l.visitAll(t, "unknown")
	for _, v := range []mesh.Verdict{mesh.Pending, mesh.Up, mesh.Partial, mesh.Down, mesh.Degraded, mesh.Unknown} {
		if !l.seen[v] {
			t.Errorf("nothing was visited while a check was %s", v)
		}
	}
	for _, address := range []string{
		"one region bad /", "one region bad /matrix", "one region bad /agents", "one region bad /hosts/nc1",
		"one region bad /api/v1/hosts/nc1/votes",
		"one region bad /console/events?page=/matrix", "down /matrix", "down /hosts/nc1",
	} {
		if l.shown[address] == 0 {
			t.Errorf("operators do not find the mark at %q", address)
		}
	}
}

// The public reads why a check is down, as one of our own phrases. It does not read why a single region fails.
func TestReasonsOfConfirmedVotesArePhrases(t *testing.T) {
	m := newMarkedMesh(t)
	m.reasons, m.first = []string{"connection refused"}, 0
	m.run(40 * time.Second)
	m.fail("lus")
	m.run(30 * time.Second)
	h := public(m)
	for _, address := range []string{"/hosts/nc1", "/matrix", "/api/v1/matrix", "/api/v1/hosts/nc1/votes"} {
		answer := visit(t, h, address)
		if strings.Contains(answer, "refused") ||
			!strings.Contains(answer, "failing") && !strings.Contains(answer, `"bad"`) {
			t.Errorf("%s shows the reason of a single region, or not its vote: %s", address, answer)
		}
	}
	m.fail("lon", "van", "nyc", "tor", "lus", "syd", "sea")
	m.run(20 * time.Second)
	for address, want := range map[string]string{
		"/hosts/nc1": "failing (it refused the connection)", "/matrix": `title="it refused the connection"`,
		"/api/v1/hosts/nc1/votes": `"why": "refused the connection"`,
		"/":                       "7 regions confirm that it refused the connection on port 25",
		"/api/v1/transitions":     "7 regions confirm that it refused the connection on port 25, first seen from ",
	} {
		if answer := visit(t, h, address); !strings.Contains(answer, want) {
			t.Errorf("%s lacks %q: %s", address, want, answer)
		}
	}
}

// A reason is cut by letters, not by bytes: most letters of the world take several.
func TestAReasonOfLongLettersFitsTheConsole(t *testing.T) {
	m := newMarkedMesh(t)
	for _, n := range []int{5, 10, 27, 79, 80, 81, 120} {
		m.reasons = []string{strings.Repeat("語", n)}
		m.fail("lus")
		m.run(20 * time.Second)
		ops := console.New(console.Config{Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop()})
		want := ": " + strings.Repeat("語", n) + " at "
		if n > 80 {
			want = ": " + strings.Repeat("語", 79) + "… at "
		}
		if answer := visit(t, ops, "/matrix"); !strings.Contains(answer, want) {
			t.Errorf("a reason of %d letters is not shown as %s", n, want)
		}
	}
}

func TestEveryRouteIsListedOnce(t *testing.T) {
	var patterns []string
	for _, route := range routes(newMarkedMesh(t), web.Public, web.StreamsConfig{}) {
		patterns = append(patterns, route.Pattern)
	}
	slices.Sort(patterns)
	if len(patterns) < 20 || len(slices.Compact(slices.Clone(patterns))) != len(patterns) {
		t.Error(patterns)
	}
}
