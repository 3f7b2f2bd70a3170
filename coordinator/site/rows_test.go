package site_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// A row has the title that clients know, the days with downtime in words, and no uptime of 100 % after an outage.
func TestRowsOfHosts(t *testing.T) {
	text := body(t, public(webtest.NewSource(t, mesh.Up, mesh.Operational)), "/")
	_, row, _ := strings.Cut(text, `id="row-NC036"`)
	row, _, _ = strings.Cut(row, "<details")
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format("2 January")
	for _, want := range []string{
		"<b>Mail</b>", "NC036 · Amsterdam", "98.333 %", yesterday + ", 1 min down",
		`<path class="down" d="M88 .5h1"`,
	} {
		if !strings.Contains(row, want) {
			t.Errorf("the row of NC036 lacks %q: %s", want, row)
		}
	}
	if strings.Contains(row, "100 %") || !strings.Contains(row, `<path class="unknown" d="M0 .5h80"`) {
		t.Errorf("the row of NC036 shows what nobody measured: %s", row)
	}
	if strings.Contains(text, " open>") {
		t.Error("the checks of an operational host are unfolded")
	}
}

// The first line says in the clients' words what is wrong, and nothing else on the page contradicts it.
func TestTheAnswerComesFirst(t *testing.T) {
	down := func(h *mesh.HostState) { h.Status, h.Checks[1].Verdict = mesh.PartialOutage, mesh.Down }
	for _, test := range []struct {
		change func(*mesh.Snapshot)
		want   string
	}{
		{func(*mesh.Snapshot) {}, "<h1>All systems operational</h1><p>5 systems, checked from every region.</p>"},
		{func(s *mesh.Snapshot) { s.Hosts[0].Checks[1].Verdict = mesh.Pending },
			"<h1>All systems operational</h1><p>5 systems. Without first results yet: 1 check.</p>"},
		{func(s *mesh.Snapshot) { down(&s.Hosts[0]) }, "<h1>Sending mail is unavailable</h1>"},
		{func(s *mesh.Snapshot) { s.Hosts[0].Status = mesh.MajorOutage }, "<h1>Mail is unavailable</h1>"},
		{func(s *mesh.Snapshot) { s.Hosts[0].Status = mesh.StatusUnknown }, "<h1>The status of Mail is unknown</h1>"},
		{func(s *mesh.Snapshot) { s.Hosts[0].Status = mesh.UnderMaintenance }, "<h1>Mail is under maintenance</h1>"},
		{func(s *mesh.Snapshot) { down(&s.Hosts[0]); s.Hosts[1].Status = mesh.MajorOutage }, "<h1>Major outage</h1>"},
	} {
		s := webtest.NewSource(t, mesh.Up, mesh.Operational)
		test.change(s.Snapshot)
		text := body(t, public(s), "/")
		if !strings.Contains(text, test.want) {
			t.Errorf("the page lacks %s: %s", test.want, text)
		}
	}
}

// A page of many hosts shows those with trouble, and folds the groups where all is well.
func TestGroupsWithoutTroubleFold(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	var many []catalog.Host
	var states []mesh.HostState
	for n := range 300 {
		h, state := s.Catalog.Hosts[0], s.Snapshot.Hosts[0]
		h.Name = "NC" + string(rune('a'+n/26)) + string(rune('a'+n%26))
		h.Group = "Group " + string(rune('A'+n/30))
		state.Name = h.Name
		many, states = append(many, h), append(states, state)
	}
	states[299].Status = mesh.MajorOutage
	s.Catalog.Hosts, s.Snapshot.Hosts = many, states
	text := body(t, public(s), "/")
	if n := strings.Count(text, `<details class="group"`); n != 10 {
		t.Errorf("%d groups of 10 are folded", n)
	}
	if n := strings.Count(text, `<details class="host`); n != 1 || !strings.Contains(text, `id="row-`+many[299].Name) {
		t.Errorf("%d rows of hosts for one with trouble", n)
	}
	if !strings.Contains(text, `<h3 class="heading">Group J</h3>`) ||
		!strings.Contains(text, "the other 29\noperational") {
		t.Error("the group with trouble has no heading, or does not fold its other hosts")
	}
	if n := strings.Count(text, `<a href="/hosts/NC`); n < 299 {
		t.Errorf("links to %d hosts", n)
	}
	if len(text) > 60_000 {
		t.Errorf("a front page of 300 hosts has %d bytes", len(text))
	}
}

// A row is one stop of the tab key, and the arrow keys show its days one by one.
func TestDaysAreReadByKeyboard(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	server := httptest.NewServer(public(webtest.NewSource(t, mesh.Up, mesh.Operational)))
	t.Cleanup(server.Close)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 900), chromedp.Navigate(server.URL+"/")); err != nil {
		t.Fatal(err)
	}
	press := func(key string) string {
		return testenv.Evaluate[string](t, ctx, `(() => {
			const row = document.querySelector("#row-NC036 > summary");
			row.focus();
			row.dispatchEvent(new KeyboardEvent("keydown", {key: "`+key+`", bubbles: true}));
			return row.querySelector(".tip").innerText;
		})()`)
	}
	press("ArrowLeft")
	if text := press("ArrowLeft"); !strings.HasSuffix(text, ": 1 min down") {
		t.Errorf("yesterday: %q", text)
	}
	if text := press("Home"); !strings.HasSuffix(text, ": no data") {
		t.Errorf("the first day: %q", text)
	}
	if text := press("End"); !strings.HasSuffix(text, ": no downtime") {
		t.Errorf("today: %q", text)
	}
	stops := testenv.Evaluate[int](t, ctx, `document.querySelectorAll("#row-NC036 > summary [tabindex]").length`)
	wide := testenv.Evaluate[int](t, ctx, `document.documentElement.scrollWidth - innerWidth`)
	if stops != 0 || wide > 0 {
		t.Errorf("%d more tab stops in a row; the page is %d px too wide", stops, wide)
	}
}
