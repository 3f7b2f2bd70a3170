package site_test

import (
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// Every stop of the Tab key in the form of the history has an outline, also the calendar of a date.
func TestEveryStopOfTheSearchFormHasAnOutline(t *testing.T) {
	server := httptest.NewServer(public(webtest.NewSource(t, mesh.Up, mesh.Operational)))
	t.Cleanup(server.Close) // after the browser
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/history")); err != nil {
		t.Fatal(err)
	}
	dates := 0
	for range 40 {
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
			t.Fatal(err)
		}
		stop := testenv.Evaluate[[]string](t, ctx, `(() => { const a = document.activeElement;
			return [a.closest("form") ? a.type : "", getComputedStyle(a).outlineStyle]; })()`)
		if stop[0] != "" && stop[1] == "none" {
			t.Errorf("a stop of an input of type %s has no outline", stop[0])
		}
		if stop[0] == "date" {
			dates++
		}
	}
	if dates < 8 { // month, day, year and calendar of two dates
		t.Errorf("%d stops in dates", dates)
	}
}
