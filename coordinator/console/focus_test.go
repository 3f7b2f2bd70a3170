package console_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// covered is "end" where the focus has left the page, and otherwise what hides the middle of the element in focus: ""
// if nothing does and the outline is whole.
const covered = `(() => {
	const a = document.activeElement;
	if (a === document.body) return "end";
	const r = a.getBoundingClientRect(), table = a.closest(".scroll table"), box = table && table.parentElement;
	if (box && r.width < box.clientWidth / 2 && r.right + 5 > box.getBoundingClientRect().left + box.clientWidth)
		return a.outerHTML.slice(0, 80) + " is cut at the edge";
	const card = a.closest("header,.card"), edge = 3 + parseFloat(getComputedStyle(a).outlineOffset);
	if (card && (r.left - edge < card.getBoundingClientRect().left || r.top - edge < card.getBoundingClientRect().top))
		return a.outerHTML.slice(0, 80) + " has an outline that is cut";
	const top = document.elementFromPoint((r.left + r.right) / 2, (r.top + r.bottom) / 2);
	if (r.height > innerHeight || r.width > innerWidth || top && (a.contains(top) || top.contains(a))) return "";
	return a.outerHTML.slice(0, 80) + " is below " + (top ? top.outerHTML.slice(0, 80) : "nothing that is on the screen");
})()`

// walk presses the Tab key through a page, and back with Shift, and returns what hides elements in focus.
func walk(t *testing.T, ctx context.Context) (hidden []string) {
	t.Helper()
	for _, modifiers := range [][]chromedp.Modifier{nil, {chromedp.ModifierShift}} {
		for range 500 {
			if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(modifiers...))); err != nil {
				t.Fatal(err)
			}
			what := testenv.Evaluate[string](t, ctx, covered)
			if what == "end" {
				break
			}
			if what != "" {
				hidden = append(hidden, what)
			}
		}
	}
	return hidden
}

// Nothing that stays in place while a page scrolls hides what has the focus: neither the notice that the page is out of
// date, nor the first column of a table that is wider than a phone.
func TestNothingStickyHidesTheFocus(t *testing.T) {
	for _, test := range []struct {
		name  string
		age   time.Duration
		width int64
	}{{"out of date", time.Minute, 1280}, {"a phone", 0, 360}} {
		s := webtest.NewSource(t, mesh.Up, mesh.Operational)
		s.Snapshot.At = s.Snapshot.At.Add(-test.age)
		server := httptest.NewServer(console.New(console.Config{
			Source: fallen{source{s}}, Past: replayed{s, nil}, Site: notFound, Logger: zerolog.Nop(),
		}))
		t.Cleanup(server.Close) // after the browser
		ctx := testenv.NewBrowser(t)
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(test.width, 400)); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/hosts/NC036", "/agents", "/catalog"} {
			if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+path)); err != nil {
				t.Fatal(err)
			}
			if old := testenv.Evaluate[bool](t, ctx, `!document.getElementById("stale").hidden`); old != (test.age > 0) {
				t.Fatalf("%s: the page is out of date: %v", test.name, old)
			}
			for _, what := range walk(t, ctx) {
				t.Errorf("%s, %s: %s", test.name, path, what)
			}
		}
	}
}

// A chart that is drawn when it comes into view does not move what is below it, which may have the focus or be read.
func TestChartsHaveTheirRoomBeforeTheyAreDrawn(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Lifelike = true
	site := web.NewMux(zerolog.Nop(), web.FileRoutes()...)
	server := httptest.NewServer(console.New(console.Config{Source: source{s}, Site: site, Logger: zerolog.Nop()}))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 300), chromedp.Navigate(server.URL+"/hosts/NC036/checks/ping"))
	if err != nil {
		t.Fatal(err)
	}
	const height = `document.querySelector("canvas") ? 0 : document.documentElement.scrollHeight`
	before := testenv.Evaluate[int](t, ctx, height)
	testenv.AwaitInPage(t, ctx, "the charts are drawn", `(document.querySelector("figure.chart").scrollIntoView(),
		[...document.querySelectorAll(".plot")].every(p => p.querySelector("canvas")))`)
	after := testenv.Evaluate[int](t, ctx, `document.documentElement.scrollHeight`)
	if before == 0 || after-before > 40 || before-after > 40 {
		t.Errorf("the page is %d high without the charts, and %d with them", before, after)
	}
}
