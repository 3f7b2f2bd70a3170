package site_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// timeZone sets the time zone of the browser.
func timeZone(name string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetTimezoneOverride,
			emulation.SetTimezoneOverrideParams{TimezoneID: name})
		return chromedp.Void{}, err
	}
}

// Readers see their own time beside UTC, of a period its end too, and nothing where UTC is their time.
func TestReadersSeeTheirOwnTime(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	source := webtest.States(t)[3].Source
	server := httptest.NewServer(public(source))
	defer server.Close()
	beside := func(zone string) string {
		if err := chromedp.Do(ctx, timeZone(zone), chromedp.Navigate(server.URL+"/maintenance/kernel")); err != nil {
			t.Fatal(err)
		}
		return testenv.Evaluate[string](t, ctx, `(document.querySelector(".banner .local") || {innerText: ""}).innerText`)
	}
	start := source.Planned[1].Start
	lusaka := start.UTC().Add(2 * 60 * 60 * 1e9)
	want := lusaka.Format("15:04") + " to " + lusaka.Add(60*60*1e9).Format("15:04") + " for you)"
	if got := beside("Africa/Lusaka"); !strings.HasSuffix(got, want) {
		t.Errorf("in Lusaka: %q, not %q", got, want)
	} else if otherDay := lusaka.Day() != start.UTC().Day(); otherDay != strings.Contains(got, lusaka.Format("Jan 02")) {
		t.Errorf("in Lusaka: %q, which is another day: %v", got, otherDay)
	}
	if got := beside("UTC"); got != "" {
		t.Errorf("in UTC: %q", got)
	}
}
