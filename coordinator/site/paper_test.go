package site_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// onPaper shows pages as they are printed, to a reader who prefers dark ones on the screen.
func onPaper(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	return chromedp.Void{}, err
}

// paperFaults lists what is wrong with a page on paper.
const paperFaults = `(() => {
	const faults = [], shown = e => e.checkVisibility() && e.getClientRects().length > 0;
	document.querySelectorAll("nav, .skip, .search").forEach(e => shown(e) && faults.push("shows " + e.outerHTML));
	document.querySelectorAll("details > :not(summary)").forEach(e => {
		if (e.textContent.trim() && !shown(e)) faults.push("folds " + e.textContent.trim().slice(0, 60));
	});
	const body = getComputedStyle(document.body), h1 = getComputedStyle(document.querySelector("h1"));
	if (body.color !== "rgb(0, 0, 0)" || h1.color !== body.color) faults.push("is written in " + h1.color);
	document.querySelectorAll("html, body, .card, .scroll, th").forEach(e => {
		const paper = getComputedStyle(e).backgroundColor;
		if (!/^rgb\(255, 255, 255\)$|^rgba\(0, 0, 0, 0\)$/.test(paper)) faults.push(e.className + " is on " + paper);
	});
	if (document.documentElement.scrollWidth > innerWidth) faults.push("is too wide");
	return faults.join("; ");
})()`

// On paper, pages are black on white, without navigation, and show what a screen folds away.
func TestPagesOnPaper(t *testing.T) {
	server := httptest.NewServer(public(webtest.States(t)[1].Source))
	t.Cleanup(server.Close)
	ctx := testenv.NewBrowser(t)
	paths := []string{"/", "/hosts/NC036", "/hosts/NC036/checks/sending-mail", "/incidents/b1-1", "/matrix", "/history"}
	for _, path := range paths {
		// A page of A4 is 794 CSS pixels wide.
		size := chromedp.EmulateViewport(794, 1123)
		if err := chromedp.Do(ctx, onPaper, size, chromedp.Navigate(server.URL+path)); err != nil {
			t.Fatal(err)
		}
		folded := testenv.Evaluate[int](t, ctx, `document.querySelectorAll("details:not([open])").length`)
		if path == "/" && folded < 5 {
			t.Errorf("%s folds %d parts on a screen", path, folded)
		}
		if faults := testenv.Evaluate[string](t, ctx, paperFaults); faults != "" {
			t.Errorf("%s %s", path, faults)
		}
	}
}

// A page that stays open says of which minute it is, in the server's form: the script names no seconds either.
func TestAnOpenPageNamesNoSeconds(t *testing.T) {
	s := webtest.States(t)[0].Source
	view := web.NewView(s, web.Public)
	pages := site.New(site.Config{View: view})
	programs := api.New(api.Config{View: view, Pages: pages})
	h := web.NewHandler(zerolog.Nop(), web.Public, slices.Concat(pages.Routes(), programs.Routes())...)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	ctx := testenv.NewBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	next := *s.Snapshot
	next.At = time.Now().Add(time.Minute) // not of when the browser was started, or no beat would come
	s.Show(&next)
	testenv.AwaitInPage(t, ctx, "a beat that moves the time",
		`document.getElementById("asof").dateTime === "`+next.At.UTC().Format(time.RFC3339)+`"`)
	form := `/^\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d UTC$/.test(document.getElementById("asof").textContent)`
	if !testenv.Evaluate[bool](t, ctx, form) {
		t.Error(testenv.Evaluate[string](t, ctx, `document.getElementById("asof").textContent`))
	}
}
