package console_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// scriptlessConsole serves a console with a past, and opens a browser that runs none of its scripts.
func scriptlessConsole(t *testing.T) (ctx context.Context, address string) {
	t.Helper()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Lifelike = true
	region := s.Catalog.Regions[0].Name
	s.Snapshot.Vantages = []mesh.VantageState{
		{Name: "NC023", Region: region, LastBatch: s.Snapshot.At}, {Name: "NC036", LastBatch: s.Snapshot.At, Silent: true},
	}
	server := httptest.NewServer(console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
	}))
	t.Cleanup(server.Close) // after the browser
	ctx = testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), testenv.DisableScripts); err != nil {
		t.Fatal(err)
	}
	return ctx, server.URL
}

// openScriptless opens a page, and fails if a script has run in it.
func openScriptless(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	if testenv.Evaluate[bool](t, ctx, `document.querySelector("[role=grid], .plot canvas, .plot .uplot") !== null`) {
		t.Fatalf("%s: a script has run", address)
	}
}

// stops walks through a page with the Tab key, and returns what can have the focus and was not reached.
func stops(t *testing.T, ctx context.Context) (missed []string) {
	t.Helper()
	n := testenv.Evaluate[int](t, ctx, `(() => {
		window.all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex]")]
			.filter(e => e.checkVisibility());
		return window.all.length;
	})()`)
	for range n {
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
			t.Fatal(err)
		}
		testenv.Evaluate[bool](t, ctx, `(window.all = window.all.filter(e => e !== document.activeElement), true)`)
	}
	return testenv.Evaluate[[]string](t, ctx, `window.all.map(e => e.outerHTML.slice(0, 100))`)
}

// Without scripts, the Tab key reaches everything on every page.
func TestEveryPageByKeyboardWithoutScripts(t *testing.T) {
	ctx, address := scriptlessConsole(t)
	for _, path := range []string{
		"/", "/matrix", "/hosts/NC036", "/hosts/NC036?at=10m", "/hosts/NC036/checks/ping",
		"/hosts/NC036/checks/ping/year", "/hosts/NC036/checks/ping/minutes", "/pairs/NC023/NC036/ping", "/regions/amsterdam",
		"/transitions/280", "/agents", "/catalog",
	} {
		openScriptless(t, ctx, address+path)
		if missed := stops(t, ctx); len(missed) > 0 {
			t.Errorf("%s: the Tab key does not reach %d elements: %s", path, len(missed), missed[0])
		}
	}
}

// focusOn gives an element the focus.
func focusOn(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	if !testenv.Evaluate[bool](t, ctx, `(() => { const e = document.querySelector("`+selector+`");
		e.focus(); return document.activeElement === e; })()`) {
		t.Fatalf("%s cannot have the focus", selector)
	}
}

// Without scripts, forms and links do what they do with them: the filter of the matrix, the field of a moment, the
// marks of the timeline, and the way back.
func TestFormsAndMomentsWithoutScripts(t *testing.T) {
	ctx, address := scriptlessConsole(t)
	keys := func(keys string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.KeyEvent(keys)); err != nil {
			t.Fatal(err)
		}
	}
	openScriptless(t, ctx, address+"/matrix")
	focusOn(t, ctx, "select[name=show]")
	keys(kb.ArrowDown)
	focusOn(t, ctx, ".filters button")
	keys("\r")
	awaitAddress(t, ctx, "?check=ping&show=loss")

	openScriptless(t, ctx, address+"/hosts/NC036")
	focusOn(t, ctx, "#at")
	keys("10m\r")
	awaitAddress(t, ctx, "?at=10m")
	if text := textOf(t, ctx, ".then"); !strings.Contains(text, "by replay") {
		t.Errorf("a page of the past says %q", text)
	}
	focusOn(t, ctx, "svg.timeline a")
	keys("\r")
	awaitAddress(t, ctx, "?at=20")
	focusOn(t, ctx, ".moment a.now")
	keys("\r")
	awaitAddress(t, ctx, "now")
}

func textOf(t *testing.T, ctx context.Context, selector string) string {
	t.Helper()
	return testenv.Evaluate[string](t, ctx, `(document.querySelector("`+selector+`") || {innerText: "nothing"}).innerText`)
}

// Without scripts, each chart is a table, which Enter opens.
func TestChartsAreTablesWithoutScripts(t *testing.T) {
	ctx, address := scriptlessConsole(t)
	for path, want := range map[string][]string{
		"/pairs/NC023/NC036/ping": {"rtt-hour-table", "loss-hour-table", "rtt-days-table", "loss-days-table"},
		"/hosts/NC036/checks/ping": {
			"rtt-hour-table", "loss-hour-table", "rtt-days-table", "loss-days-table",
		},
		"/hosts/NC036/checks/ping/minutes": {"rtt-days-table", "loss-days-table"},
		"/hosts/NC036/checks/ping/year":    {"rtt-hours-table", "loss-hours-table"},
	} {
		openScriptless(t, ctx, address+path)
		ids := testenv.Evaluate[[]string](t, ctx, `[...document.querySelectorAll("figure details")].map(d => d.id)`)
		for _, id := range want {
			if !slices.Contains(ids, id) {
				t.Fatalf("%s has the tables %v, not %s", path, ids, id)
			}
			focusOn(t, ctx, "#"+id+" summary")
			if err := chromedp.Do(ctx, chromedp.KeyEvent("\r")); err != nil {
				t.Fatal(err)
			}
			shown := `document.querySelector("#` + id + ` table").checkVisibility() &&
				document.querySelectorAll("#` + id + ` tbody tr").length`
			opened := 0
			for end := time.Now().Add(10 * time.Second); opened == 0 && time.Now().Before(end); {
				opened = testenv.Evaluate[int](t, ctx, "Number("+shown+")")
			}
			if opened == 0 {
				t.Errorf("%s: %s does not open", path, id)
			}
		}
	}
}

// Without scripts, a page promises nothing that only scripts do, and each drawing with many links has a link that skips
// them.
func TestNothingThatNeedsScriptsIsPromised(t *testing.T) {
	ctx, address := scriptlessConsole(t)
	for path, skips := range map[string][]string{
		"/": {"legend"}, "/matrix": {"marks", "legend"}, "/hosts/NC036": {"marks"},
	} {
		openScriptless(t, ctx, address+path)
		text := textOf(t, ctx, "body")
		if strings.Contains(text, "updates by itself") || strings.Contains(text, "rrow keys") ||
			!strings.Contains(text, "does not update by itself") {
			t.Errorf("%s: %s", path, text)
		}
		for _, id := range skips {
			focusOn(t, ctx, ".pass[href='#"+id+"']")
			if err := chromedp.Do(ctx, chromedp.KeyEvent("\r")); err != nil {
				t.Fatal(err)
			}
			if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
				t.Fatal(err)
			}
			if !testenv.Evaluate[bool](t, ctx, `document.activeElement.closest("table, .timeline") === null &&
				(document.activeElement.compareDocumentPosition(document.getElementById("`+id+`")) &
				Node.DOCUMENT_POSITION_PRECEDING) !== 0`) {
				t.Errorf("%s: after the link to %s the Tab key does not go on there", path, id)
			}
		}
	}
}
