package site_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
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
		{func(s *mesh.Snapshot) { // Lusaka is cut off
			for _, h := range s.Hosts {
				for _, c := range h.Checks {
					for n := range c.Votes {
						if c.Votes[n].Region == "lusaka" {
							c.Votes[n].Vote = mesh.Abstain
						}
					}
				}
			}
		}, "<h1>All systems operational</h1><p>5 systems, checked from 7 of 8 regions.</p>"},
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

// An open incident that people wrote counts with the impact that they gave it, wherever the whole page has a status.
func TestTheHeadlineCountsWhatPeopleReport(t *testing.T) {
	for _, test := range []struct {
		impact   incident.Impact
		measured mesh.Status
		headline string
		badge    string
	}{
		{incident.None, mesh.Operational, "All systems operational", "Operational"},
		{incident.Minor, mesh.Operational, "Minor problems: Mail is delayed", "Degraded performance"},
		{incident.Major, mesh.Operational, "Major problems: Mail is delayed", "Partial outage"},
		{incident.Critical, mesh.DegradedPerformance, "Critical problems: Mail is delayed", "Major outage"},
		{incident.Minor, mesh.MajorOutage, "Mail is unavailable", "Major outage"},
		{"", mesh.Operational, "All systems operational", "Operational"},
	} {
		s := webtest.NewSource(t, mesh.Up, mesh.Operational)
		s.Snapshot.Hosts[0].Status = test.measured
		i := *webtest.Incidents()[0]
		i.Said, i.SaidImpact, i.Titles = incident.Investigating, test.impact, []incident.Text{{Title: "Mail is delayed"}}
		s.All = []*incident.Incident{&i}
		h := public(s)
		text := body(t, h, "/")
		if !strings.Contains(text, "<h1>"+test.headline+"</h1>") {
			t.Errorf("%s and %s: the page lacks %q: %s", test.impact, test.measured, test.headline, text)
		}
		if i.SaidImpact != "" && test.measured == mesh.Operational && i.SaidImpact != incident.None &&
			!strings.Contains(text, "<title>"+test.headline+" – ") {
			t.Errorf("the title of the page lacks %q", test.headline)
		}
		if badge := body(t, h, "/badge.svg"); !strings.Contains(badge, test.badge) {
			t.Errorf("%s and %s: the badge lacks %q", test.impact, test.measured, test.badge)
		}
		i.State, i.Resolved = incident.Resolved, time.Now()
		s.Events.Add(1)
		if test.measured == mesh.Operational && !strings.Contains(body(t, h, "/"), "<h1>All systems operational</h1>") {
			t.Errorf("a resolved incident of impact %q is in the headline", test.impact)
		}
	}
}

// The status is before the title of the front page alone: other pages are about something else.
func TestEveryPageHasItsOwnTitle(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()
	h := public(s)
	for path, want := range map[string]string{
		"/": "All systems operational – ", "/matrix": "Matrix – ", "/maintenance": "Maintenance – ",
		"/rule":        "How we decide – ",
		"/hosts/NC036": "Mail – ", "/hosts/NC036/checks/sending-mail": "Sending mail – Mail – ",
		"/incidents/a1-1": "Mail: Sending mail down – ", "/history": "History – ", "/nothing": "Page not found – ",
		"/incidents/nothing": "Page not found – ", "/hosts/nothing": "Page not found – ",
	} {
		text := webtest.Get(t, h, path).Body.String()
		if !strings.Contains(text, "<title>"+want+s.Catalog.Page.Title+"</title>") {
			_, after, _ := strings.Cut(text, "<title>")
			t.Errorf("%s: want %q, got %.80s", path, want, after)
		}
		if own := strings.Contains(text, " data-titled"); own != (path != "/") {
			t.Errorf("%s: events replace the title: %v", path, !own)
		}
	}
}

// A round-trip time says what it is, and is left out where the host does not answer.
func TestRoundTripTimesAreLabeled(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	label := `title="Median round-trip time"><span class="read">median </span>10 ms</span>`
	rows := func() int { return strings.Count(body(t, public(s), "/"), label) }
	if n := rows(); n != 5 {
		t.Errorf("%d labels of 5", n)
	}
	s.Snapshot.Hosts[0].Status, s.Snapshot.Hosts[1].Status = mesh.MajorOutage, mesh.StatusUnknown
	s.Snapshot.Hosts[2].Status = mesh.PartialOutage
	if n := rows(); n != 3 {
		t.Errorf("%d rows have a round-trip time, want 3", n)
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

// On a phone, the name of a check wraps between its words, however long its state is.
func TestNamesOfChecksWrapBetweenWords(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Hosts[0].Checks[1].Verdict = mesh.Pending
	ctx := testenv.NewBrowser(t)
	server := httptest.NewServer(public(s))
	t.Cleanup(server.Close)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 900), chromedp.Navigate(server.URL+"/")); err != nil {
		t.Fatal(err)
	}
	lines := testenv.Evaluate[int](t, ctx, `(() => {
		document.querySelector("#row-NC036").open = true;
		const link = [...document.querySelectorAll("#row-NC036 .checks a")].find(a => a.innerText === "Sending mail");
		return link.getClientRects().length;
	})()`)
	wide := testenv.Evaluate[int](t, ctx, `document.documentElement.scrollWidth - innerWidth`)
	if lines > 1 || wide > 0 {
		t.Errorf("the name has %d lines, and the page is %d px too wide", lines, wide)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/hosts/NC036")); err != nil {
		t.Fatal(err)
	}
	hint := `getComputedStyle(document.querySelector(".sideways")).display`
	if display := testenv.Evaluate[string](t, ctx, hint); display != "block" {
		t.Errorf("nothing says that the tables scroll: %s", display)
	}
}
