package console_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

var notFound = http.NotFoundHandler()

// The charts of a year by hour read their values from an address of their own; their page stays small, and programs get
// every hour.
func TestAYearByHour(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Lifelike = true
	h := console.New(
		console.Config{Source: source{s}, Site: web.NewMux(zerolog.Nop(), web.FileRoutes()...), Logger: zerolog.Nop()},
	)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	const path = "/hosts/NC036/checks/ping/year"
	page := get(t, h, "localhost", path).Body.String()
	if len(page) > 200_000 || strings.Count(page, "<tr>") < 2*365 { // the days, which are read without scripts
		t.Errorf("the page has %d bytes, and %d rows", len(page), strings.Count(page, "<tr>"))
	}
	if lines := strings.Count(get(t, h, "localhost", path+"?format=csv").Body.String(), "\n"); lines < 365*24 {
		t.Errorf("the table has %d lines", lines)
	}
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+path)); err != nil {
		t.Fatal(err)
	}
	testenv.AwaitInPage(t, ctx, "the charts are drawn",
		`["rtt-hours", "loss-hours"].every(id => document.querySelector("#" + id + " .plot canvas") !== null)`)
}

// A filter that an operator has chosen and not sent yet stays while the matrix changes.
func TestChosenFiltersStayWhileTheMatrixChanges(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	server := httptest.NewServer(console.New(console.Config{
		Source: source{s}, Site: notFound, Logger: zerolog.Nop(),
	}))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/matrix")); err != nil {
		t.Fatal(err)
	}
	testenv.AwaitInPage(t, ctx, "a filter is chosen", `(() => {
		const all = [...document.querySelectorAll("main select")], chosen = all.find(s => s.name === "from");
		all.forEach(s => s.dataset.old = "yes");
		chosen.value = "lusaka";
		return chosen.value === "lusaka";
	})()`)
	joined := *s.Snapshot
	joined.At = joined.At.Add(time.Second)
	joined.Vantages = []mesh.VantageState{{Name: "NC034", Region: "lusaka", LastBatch: joined.At}}
	s.Show(&joined)
	testenv.AwaitInPage(t, ctx, "the page is another",
		`document.querySelector("main select") && !document.querySelector("main select[data-old]")`)
	values := `[...document.querySelectorAll("main select")].map(s => s.name + "=" + s.value).join(" ")`
	if got := testenv.Evaluate[string](t, ctx, values); !strings.Contains(got, "from=lusaka") {
		t.Errorf("after a change the filters are %s", got)
	}
}

// An operator types a moment while the page changes under the cursor, shows it by Enter, follows a mark of the line of
// time by keyboard, and comes back to now.
func TestTheMomentFieldByKeyboard(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	server := httptest.NewServer(console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, &[]time.Time{}}, Site: notFound, Logger: zerolog.Nop(),
	}))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/hosts/NC036")); err != nil {
		t.Fatal(err)
	}
	// The page may replace its elements at any time, so keys go to the one in focus, not to an element found before.
	testenv.AwaitInPage(t, ctx, "the field has the focus",
		`document.getElementById("at").focus(), document.activeElement.id === "at"`)
	if err := chromedp.Do(ctx, chromedp.KeyEvent("10")); err != nil {
		t.Fatal(err)
	}
	down := *s.Snapshot
	down.At = down.At.Add(time.Second)
	down.Hosts = append([]mesh.HostState(nil), down.Hosts...)
	down.Hosts[0].Sentence = "Changed while somebody typed."
	s.Show(&down)
	testenv.AwaitInPage(
		t,
		ctx,
		"the change is shown",
		`document.body.innerText.includes("Changed while somebody typed.")`,
	)
	focus := `document.activeElement.id + " " + document.activeElement.value`
	if got := testenv.Evaluate[string](t, ctx, focus); got != "at 10" {
		t.Errorf("after a change the field in focus is %q", got)
	}
	if err := chromedp.Do(ctx, chromedp.KeyEvent("m\r")); err != nil {
		t.Fatal(err)
	}
	awaitAddress(t, ctx, "?at=10m")
	// Every mark is a link that the Tab key reaches.
	mark := testenv.Evaluate[string](t, ctx, `(function () {
		var a = document.querySelector("svg.timeline a"); a.focus();
		return (document.activeElement === a) + " " + a.tabIndex + " " + a.getAttribute("aria-label");
	})()`)
	if !strings.HasPrefix(mark, "true 0 ") || !strings.HasSuffix(mark, "NC036 ping down") {
		t.Errorf("the mark is %q", mark)
	}
	if err := chromedp.Do(ctx, chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	shown := awaitAddress(t, ctx, "?at=20")
	if at, err := time.Parse(time.RFC3339, strings.TrimPrefix(shown, "?at=")); err != nil ||
		time.Since(at) < 59*time.Minute || time.Since(at) > 61*time.Minute {
		t.Errorf("the mark leads to %q", shown)
	}
	if err := chromedp.Do(ctx, chromedp.Click(".moment a.now")); err != nil {
		t.Fatal(err)
	}
	awaitAddress(t, ctx, "now")
}

// changingHost opens the page of a host, and returns what changes it while it is shown: the host's sentence becomes the
// text, and what else is wanted.
func changingHost(
	t *testing.T, query string, width int64,
) (ctx context.Context, change func(text string, also ...func(*mesh.HostState))) {
	t.Helper()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	server := httptest.NewServer(console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, &[]time.Time{}}, Site: notFound, Logger: zerolog.Nop(),
	}))
	t.Cleanup(server.Close) // after the browser
	ctx = testenv.NewBrowser(t)
	address := server.URL + "/hosts/NC036" + query
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 700), chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	return ctx, func(text string, also ...func(*mesh.HostState)) {
		t.Helper()
		next := *s.Snapshot
		next.At = next.At.Add(time.Second)
		next.Hosts = append([]mesh.HostState(nil), next.Hosts...)
		next.Hosts[0].Sentence = text
		for _, do := range also {
			do(&next.Hosts[0])
		}
		s.Show(&next)
		testenv.AwaitInPage(t, ctx, text, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
	}
}

// Whatever has the focus has it after a change, at the same place of the screen, though it has no name or address.
func TestTheFocusStaysWhileThePageChanges(t *testing.T) {
	ctx, change := changingHost(t, "", 1280)
	type place struct {
		Element string
		Top     float64
	}
	const focus = `(function (e) { return {Element: e.outerHTML.slice(0, 60), Top: e.getBoundingClientRect().top}; })(
		document.activeElement)`
	for i, selector := range []string{".moment button", ".line", ".check-votes .scroll", ".check-votes h2 a"} {
		focused := fmt.Sprintf(`(document.querySelector(%q).focus(), document.activeElement.matches(%[1]q))`, selector)
		testenv.AwaitInPage(t, ctx, selector+" has the focus", focused)
		before := testenv.Evaluate[place](t, ctx, focus)
		change(fmt.Sprintf("Change %d. %s", i, strings.Repeat("It has a line or more than before. ", 10*i)))
		after := testenv.Evaluate[place](t, ctx, focus)
		if after.Element != before.Element || math.Abs(after.Top-before.Top) > 2 { // a browser scrolls by whole pixels
			t.Errorf("%s: the focus is at %v, it was at %v", selector, after, before)
		}
	}
}

// A table stays where a reader has scrolled it sideways, though another one comes before it now.
func TestTablesStayScrolledWhileTheirOrderChanges(t *testing.T) {
	ctx, change := changingHost(t, "", 360)
	const scrolled = `[...document.querySelectorAll(".check-votes .scroll")].filter(b => b.scrollLeft === 80)
		.map(b => b.getAttribute("aria-label")).join()`
	before := testenv.Evaluate[string](t, ctx,
		`(document.querySelectorAll(".check-votes .scroll")[1].scrollLeft = 80, `+scrolled+`)`)
	change("Another check is first.", func(h *mesh.HostState) {
		h.Checks = append([]mesh.CheckState(nil), h.Checks...)
		h.Checks[len(h.Checks)-1].Verdict = mesh.Down
	})
	if after := testenv.Evaluate[string](t, ctx, scrolled); before == "" || after != before {
		t.Errorf("%q is scrolled, it was %q", after, before)
	}
}

// On a phone, the timeline shows the moment that the page shows, and stays where a reader has scrolled it.
func TestTheTimelineOfAPhone(t *testing.T) {
	const shown = `(function () {
		var at = document.querySelector(".cursor").getBoundingClientRect().left;
		var box = document.querySelector(".line"), r = box.getBoundingClientRect();
		return box.scrollWidth > box.clientWidth && at >= r.left && at <= r.right;
	})()`
	for _, query := range []string{"", "?at=24h", "?at=47h"} {
		ctx, change := changingHost(t, query, 360)
		if !testenv.Evaluate[bool](t, ctx, shown) {
			t.Errorf("%q: the line does not show the moment", query)
		}
		if query != "" {
			continue
		}
		const scrolled = `Math.round(document.querySelector(".line").scrollLeft)`
		before := testenv.Evaluate[int](t, ctx, `(document.querySelector(".line").scrollLeft -= 300, `+scrolled+`)`)
		change("Changed while somebody read.")
		if after := testenv.Evaluate[int](t, ctx, scrolled); after != before {
			t.Errorf("the line is scrolled to %d, it was to %d", after, before)
		}
	}
}

// awaitAddress waits until the page is one whose query begins so, "now" for one without a moment, and returns it. The
// browser answers no question while it goes from one page to another.
func awaitAddress(t *testing.T, ctx context.Context, begins string) (query string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](
			`document.readyState === "complete" ? decodeURIComponent(location.search) || "now" : ""`))
		if err == nil && strings.HasPrefix(got, begins) {
			return got
		}
		query = got
	}
	t.Fatalf("the address ends with %q and never with %q", query, begins)
	return ""
}
