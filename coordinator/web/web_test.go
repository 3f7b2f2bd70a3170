package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/feeds"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// routes are all addresses of the status page and its API, as an audience sees them, with nothing in their caches.
func routes(s web.Source, a web.Audience, c web.StreamsConfig) []web.Route {
	view := web.NewView(s, a)
	pages := site.New(site.Config{View: view})
	programs := api.New(api.Config{View: view, Pages: pages, Streams: c})
	return slices.Concat(pages.Routes(), programs.Routes(), feeds.New(view).Routes())
}

func public(s web.Source) http.Handler {
	return web.NewHandler(zerolog.Nop(), web.Public, routes(s, web.Public, web.StreamsConfig{})...)
}

func operatorsSite(s web.Source) http.Handler {
	return web.NewHandler(zerolog.Nop(), web.Operators, routes(s, web.Operators, web.StreamsConfig{})...)
}

func TestOpenPagesAreUpdated(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	server := httptest.NewServer(public(s))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/events?page=/", nil)
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	until := func(want string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the stream ended before %q: %v", want, err)
			}
			if strings.Contains(line, want) {
				return
			}
		}
	}
	until("All systems operational")
	until("event: status")
	until("data: ")
	s.Show(webtest.NewSource(t, mesh.Down, mesh.MajorOutage).Snapshot)
	until("Major outage")
}

// The page and the API have one order of statuses: an outage that is confirmed counts for more than one that may be.
func TestTheWorstStatusStandsForThePage(t *testing.T) {
	for _, test := range []struct {
		first, second       mesh.Status
		headline, indicator string
	}{
		{mesh.StatusUnknown, mesh.PartialOutage, "Partial outage", "major"},
		{mesh.DegradedPerformance, mesh.StatusUnknown, "The status of some systems is unknown", "Unknown: "},
		{mesh.UnderMaintenance, mesh.DegradedPerformance, "Degraded performance", "minor"},
		{mesh.MajorOutage, mesh.PartialOutage, "Major outage", "critical"},
		{mesh.Operational, mesh.Operational, "All systems operational", "none"},
	} {
		s := webtest.NewSource(t, mesh.Up, mesh.Operational)
		s.Snapshot.Hosts[0].Status, s.Snapshot.Hosts[1].Status = test.first, test.second
		h := public(s)
		if text := webtest.Get(t, h, "/").Body.String(); !strings.Contains(text, "<h1>"+test.headline) {
			t.Errorf("%s and %s: the front page does not say %q", test.first, test.second, test.headline)
		}
		if text := webtest.Get(t, h, "/api/v2/status.json").Body.String(); !strings.Contains(text, `"`+test.indicator) {
			t.Errorf("%s and %s: want %q in %s", test.first, test.second, test.indicator, text)
		}
	}
}

// A page that watches nothing yet knows nothing: it is not operational.
func TestAPageWithoutSystemsIsNotOperational(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Hosts = nil
	h := public(s)
	if text := webtest.Get(t, h, "/").Body.String(); !strings.Contains(text, "<h1>No systems yet") ||
		strings.Contains(text, "banner up") {
		t.Error("the front page looks operational")
	}
	text := webtest.Get(t, h, "/api/v2/status.json").Body.String()
	if !strings.Contains(text, `"Unknown: no system is watched yet"`) {
		t.Error(text)
	}
}

func TestRequestRateOfOneClient(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	refused := func(n int, path string) (refused int) {
		for range n {
			if w := webtest.Get(t, h, path); w.Code == http.StatusTooManyRequests {
				refused++
			}
		}
		return refused
	}
	if n := refused(2000, "/"); n > 0 { // an office behind one address, whose people all come at once
		t.Errorf("%d of an office's 2000 requests were refused", n)
	}
	if n := refused(50, "/api/v2/summary.json"); n > 0 {
		t.Errorf("%d of a program's 50 requests were refused", n)
	}
	for _, path := range []string{"/", "/api/v2/summary.json"} {
		if refused(20_000, path) == 0 {
			t.Errorf("%s: 20,000 requests of one client were all answered", path)
		}
	}
}

// What went wrong inside is for the log. Only errors made with Errorf are for clients.
func TestErrorsOfTheCoordinatorAreLoggedAndNotShown(t *testing.T) {
	var log strings.Builder
	mux := web.NewMux(zerolog.New(&log),
		web.Route{Pattern: "GET /inside", Handler: func(http.ResponseWriter, *http.Request) error {
			return errors.New("disk 7 on fire")
		}},
		web.Route{Pattern: "GET /client", Handler: func(http.ResponseWriter, *http.Request) error {
			return web.Errorf(http.StatusBadRequest, "write a number, not %q", "<b>")
		}},
	)
	w := webtest.Get(t, mux, "/inside")
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("the client reads: %d %s", w.Code, w.Body)
	}
	if text := log.String(); !strings.Contains(text, "disk 7 on fire") || !strings.Contains(text, `"path":"/inside"`) {
		t.Errorf("the log has: %s", text)
	}
	log.Reset()
	w = webtest.Get(t, mux, "/client")
	if w.Code != http.StatusBadRequest || w.Body.String() != "write a number, not \"<b>\"\n" || log.Len() > 0 {
		t.Errorf("%d %s; logged %q", w.Code, w.Body, &log)
	}
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("an error is %s, in which a browser may run what was asked for", kind)
	}
}

// checkError fails the test unless an answer is an error in JSON.
func checkError(t *testing.T, address string, w *httptest.ResponseRecorder) {
	t.Helper()
	var body struct{ Error string }
	err := json.Unmarshal(w.Body.Bytes(), &body)
	if kind := w.Header().Get("Content-Type"); err != nil || body.Error == "" ||
		!strings.HasPrefix(kind, "application/json") {
		t.Errorf("%s: %d %s %s (%v)", address, w.Code, kind, w.Body, err)
	}
}

// Programs read JSON, whatever went wrong.
func TestErrorsOfTheAPIAreJSON(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	for address, status := range map[string]int{
		"/api/": http.StatusNotFound, "/api/v9/<b>": http.StatusNotFound, "/api/v2/nothing.json": http.StatusNotFound,
		"/api/v1/hosts/nobody/votes": http.StatusNotFound, "/api/v1/transitions?since=x": http.StatusBadRequest,
	} {
		w := webtest.Get(t, h, address)
		if w.Code != status {
			t.Errorf("%s: status %d, want %d", address, w.Code, status)
		}
		checkError(t, address, w)
	}
	// A further request is allowed every 20 ms, so the test repeats its request until one is refused.
	for range 20_000 {
		if w := webtest.Get(t, h, "/api/v2/status.json"); w.Code == http.StatusTooManyRequests {
			checkError(t, "/api/v2/status.json", w)
			return
		}
	}
	t.Error("a program that keeps asking is not refused")
}

// HTML allows at most three digits of a second in the datetime attribute.
func TestDatetimeAttributesAreValid(t *testing.T) {
	body := webtest.Get(t, public(webtest.NewSource(t, mesh.Up, mesh.Operational)), "/").Body.String()
	all := regexp.MustCompile(`datetime="?([^">]*)`).FindAllStringSubmatch(body, -1)
	for _, m := range all {
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(m[1]) {
			t.Errorf("datetime is %q", m[1])
		}
	}
	if len(all) == 0 {
		t.Error("the page has no times")
	}
}

// A host with an outage that every region reaches has services that fail: the page says so beside the status.
func TestAnOutageIsNotCalledReachableFromEverywhere(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := &s.Snapshot.Hosts[0]
	h.Status = mesh.PartialOutage
	for i := range h.Checks {
		h.Checks[i].Tally = mesh.Tally{Regions: 8, Voters: 7, OK: 7}
	}
	h.Checks[0].Verdict, h.Checks[0].Tally = mesh.Down, mesh.Tally{Regions: 8, Voters: 7, Bad: 7}
	s.Snapshot.Hosts = s.Snapshot.Hosts[:1]
	text := webtest.Get(t, public(s), "/").Body.String()
	if !strings.Contains(text, ">Partial outage<") || strings.Contains(text, "reachable from 7 of 7") {
		t.Error(text)
	}
}

// No record of the API has a time of the year 1.
func TestComponentsHaveNoInventedTimes(t *testing.T) {
	s := webtest.NewSource(t, mesh.Pending, mesh.StatusUnknown)
	for i := range s.Snapshot.Hosts {
		h := &s.Snapshot.Hosts[i]
		h.Since = time.Time{}
		for n := range h.Checks {
			h.Checks[n].Since = time.Time{}
		}
	}
	text := webtest.Get(t, public(s), "/api/v2/components.json").Body.String()
	if strings.Contains(text, "0001-01-01") || !strings.Contains(text, `"created_at": null`) {
		t.Error(text)
	}
}

// Snapshots of the same second differ in nothing that a page shows: its stream has one status event.
func TestStatusEventsHaveWholeSeconds(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Date(2026, 3, 1, 2, 31, 7, 123456789, time.UTC)
	if answer := visit(t, public(s), "/api/v1/events"); !strings.Contains(answer, `"at":"2026-03-01T02:31:07Z"`) {
		t.Error(answer)
	}
}
