package site_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// public is the site as the public sees it, with nothing in its cache.
func public(s *webtest.Source) http.Handler {
	return web.NewHandler(zerolog.Nop(), web.Public, site.New(site.Config{View: web.NewView(s, web.Public)}).Routes()...)
}

// body is the text of a page.
func body(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	return webtest.Get(t, h, path).Body.String()
}

// On the day of an outage a page must arrive over a slow line, and text of strangers must not run in it.
func TestAPageIsOneSmallRequestAndRunsNoForeignCode(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Down, mesh.MajorOutage))
	foreign := regexp.MustCompile(`(src|href)="(https?:)?//[^"]*\.(js|css|png)`)
	largest := map[string]int{"/": 45_000, "/hosts/nc036": 64_000, "/hosts/nc036/checks/ping": 60_000, "/matrix": 45_000,
		"/nothing": 45_000}
	for path, most := range largest {
		w := webtest.Get(t, h, path)
		text, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		if len(text) > most {
			t.Errorf("%s has %d bytes", path, len(text))
		}
		for _, part := range []string{"style", "script"} {
			inline := regexp.MustCompile(`(?s)<` + part + `>(.*?)</` + part + `>`).FindStringSubmatch(text)
			if inline == nil {
				t.Fatalf("%s has no %s", path, part)
			}
			sum := sha256.Sum256([]byte(inline[1]))
			if !strings.Contains(policy, part+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
				t.Errorf("%s: the policy forbids the page's own %s: %s", path, part, policy)
			}
		}
		if !strings.HasPrefix(policy, "default-src 'none'") || foreign.MatchString(text) {
			t.Errorf("%s loads files from elsewhere", path)
		}
		if strings.Contains(text, "<refused>") {
			t.Errorf("%s does not escape a sentence", path)
		}
	}
	if w := webtest.Get(t, h, "/nothing"); w.Code != http.StatusNotFound {
		t.Errorf("a page that does not exist: status %d", w.Code)
	}
}

// A page of 10 hosts with 90 days and 5 incidents is one request of less than 45 KB, and of 9 KB compressed.
func TestTheFrontPageOfTenHostsIsSmall(t *testing.T) {
	s := webtest.States(t)[1].Source
	for n := len(s.Catalog.Hosts); len(web.NewView(s, web.Public).State().Hosts()) < 10; n++ {
		h, state := *s.Catalog.Host("nc041"), s.Snapshot.Hosts[0]
		h.Name, h.ID, state.Name, state.Public = fmt.Sprintf("NC%d", 100+n), "", fmt.Sprintf("NC%d", 100+n), true
		s.Catalog.Hosts, s.Snapshot.Hosts = append(s.Catalog.Hosts, h), append(s.Snapshot.Hosts, state)
	}
	for n := len(s.All); n < 5; n++ {
		i := *webtest.Incidents()[1]
		i.ID = fmt.Sprintf("x%d-1", n)
		s.All = append(s.All, &i)
	}
	h := public(s)
	text := body(t, h, "/")
	if rows := strings.Count(text, `<details class="host `); rows != 10 || strings.Count(text, `href="/incidents/`) < 5 {
		t.Fatalf("%d rows", rows)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip, br")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if len(text) > 43_500 || w.Body.Len() > 9_000 || w.Header().Get("Content-Encoding") != "br" {
		t.Errorf("%d bytes, %d compressed", len(text), w.Body.Len())
	}
}

func TestUnknownIsNeverShownAsOperational(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Unknown, mesh.StatusUnknown))
	text := body(t, h, "/")
	if strings.Contains(text, "Operational") || !strings.Contains(text, "Unknown") {
		t.Error("the front page calls an unknown system operational")
	}
}

// Days before the first data are not called days without incidents.
func TestNothingIsSaidOfDaysBeforeTheFirstData(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.DaysMeasured = 2
	text, want := body(t, public(s), "/"), s.Snapshot.At.UTC().AddDate(0, 0, -1).Format("2 January")
	if !strings.Contains(text, "No incidents since "+want+".") || strings.Count(text, "No incidents") != 1 {
		t.Errorf("a page with data since %s says otherwise", want)
	}
}

func TestIncidents(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	quiet := body(t, h, "/")
	first := s.Snapshot.At.UTC().AddDate(0, 0, -6).Format("2 January")
	if strings.Count(quiet, "No incidents") != 1 || !strings.Contains(quiet, "No incidents since "+first+".") {
		t.Errorf("a week without incidents is not one entry from %s on", first)
	}
	next := *s.Snapshot // the pages of a snapshot are cached, so a new incident shows with the next one
	s.All = webtest.Incidents()
	s.Show(&next)
	front := body(t, h, "/")
	for _, want := range []string{
		"Web sites: major outage", "1 h 1 min ago", "Mail: Sending mail down", "lasted 21 min 3 s",
		`href="/incidents/a1-1"`,
	} {
		if !strings.Contains(front, want) {
			t.Errorf("the front page lacks %q", want)
		}
	}
	incident := body(t, h, "/incidents/a1-1")
	for _, want := range []string{
		"Sending mail down for 21 min 3 s</span>", `<li class="up closed">`, "Investigating", "&lt;refused&gt;",
	} {
		if !strings.Contains(incident, want) {
			t.Errorf("the incident's page lacks %q", want)
		}
	}
	if w := webtest.Get(t, h, "/incidents/zz"); w.Code != http.StatusNotFound {
		t.Errorf("an incident that does not exist: status %d", w.Code)
	}
}

func TestThePageSaysWhenItMayBeOutOfDate(t *testing.T) {
	const warning = "may be out of date: most"
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	if strings.Contains(body(t, public(s), "/"), warning) {
		t.Error("a warning without a reason")
	}
	s.Snapshot.Alerts = []string{"half"}
	if !strings.Contains(body(t, public(s), "/"), warning) {
		t.Error("no warning while half of the regions are silent")
	}
}

func TestTheMatrixCountsNoOwnRegion(t *testing.T) {
	text := body(t, public(webtest.NewSource(t, mesh.Down, mesh.MajorOutage)), "/matrix")
	rows := strings.Count(text, `<th scope="row">`)
	// The legend says it too.
	if rows == 0 || strings.Count(text, "same region") != rows+1 || !strings.Contains(text, "failing") {
		t.Errorf("%d rows: %s", rows, text)
	}
}

// A cell is a number on a scale of five steps, which is a length and no color; ten regions fit a window of 1280 px.
// The header and the first column stay while the rest scrolls, and a phone says that it does.
func TestTheMatrixFitsAndScrolls(t *testing.T) {
	s := webtest.States(t)[0].Source
	for len(s.Catalog.Regions) < 10 {
		name := fmt.Sprintf("r%d", len(s.Catalog.Regions))
		region := catalog.Region{Name: name, City: "Johannesburg", Country: "ZA"}
		s.Catalog.Regions = append(s.Catalog.Regions, region)
	}
	server := httptest.NewServer(public(s))
	defer server.Close()
	ctx := testenv.NewBrowser(t)
	view := func(width int64) {
		err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 500), chromedp.Navigate(server.URL+"/matrix"))
		if err != nil {
			t.Fatal(err)
		}
	}
	const hidden = `(() => { const m = document.querySelector(".matrix"); return m.scrollWidth - m.clientWidth; })()`
	view(1280)
	if over := testenv.Evaluate[int](t, ctx, hidden); over > 0 {
		t.Errorf("ten regions are %d px too wide for 1280", over)
	}
	lengths := testenv.Evaluate[int](t, ctx, `new Set([...document.querySelectorAll(".matrix td.step")].map(
		c => getComputedStyle(c).getPropertyValue("--w"))).size`)
	if lengths < 4 {
		t.Errorf("the scale shows %d lengths", lengths)
	}
	view(360)
	kept := testenv.Evaluate[string](t, ctx, `(() => {
		const m = document.querySelector(".matrix"), box = m.getBoundingClientRect();
		m.scrollTo(400, 300);
		const head = m.querySelector("thead th:nth-child(4)").getBoundingClientRect();
		const first = m.querySelector("tbody tr:nth-child(9) th").getBoundingClientRect();
		if (Math.abs(head.top - box.top) > 2) return "the header scrolls away";
		if (Math.abs(first.left - box.left) > 2) return "the first column scrolls away";
		if (first.width > 140) return "the first column has " + first.width + " px";
		if (!document.querySelector(".sideways").offsetHeight) return "nothing says that it scrolls";
		return document.documentElement.scrollWidth > innerWidth ? "the page scrolls sideways" : "";
	})()`)
	if kept != "" || testenv.Evaluate[int](t, ctx, hidden) <= 0 {
		t.Errorf("at 360 px: %s", kept)
	}
}

func TestReadiness(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	if w := webtest.Get(t, h, "/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before agents can connect: status %d", w.Code)
	}
	s.IsReady = true
	if w := webtest.Get(t, h, "/readyz"); w.Code != http.StatusOK {
		t.Errorf("when agents can connect: status %d", w.Code)
	}
}

func TestBadge(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	if text := body(t, h, "/badge/NC036.svg"); !strings.Contains(text, "NC036: Operational") ||
		!strings.Contains(text, web.Color("up")) {
		t.Errorf("badge: %s", text)
	}
	for _, path := range []string{"/badge/NC036.png", "/badge/nobody.svg"} {
		if w := webtest.Get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}
