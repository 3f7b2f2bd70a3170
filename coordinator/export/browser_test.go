package export_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// An old copy says so in the reader's browser, under the policy of the page and below any path.
func TestAnOldCopyWarnsItsReader(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	o, dir := newOrigin(t), t.TempDir()
	e := open(t, o, dir)
	e.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	mustExport(t, e)
	server := httptest.NewServer(http.StripPrefix("/a/b", http.FileServer(http.Dir(dir))))
	defer server.Close()
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/a/b/hosts/NC036")); err != nil {
		t.Fatal(err)
	}
	const line = `document.getElementById("copy").textContent`
	testenv.AwaitInPage(t, ctx, "the old copy says so", line+`.startsWith("Out of date: things may have changed") &&
		document.title.startsWith("Out of date") && getComputedStyle(document.querySelector("main")).filter !== "none"`)
	// The page itself stays the same in a copy that was looked at since.
	now := time.Now().UTC()
	fresh := []byte(`{"at": "` + now.Format(time.RFC3339) + `"}`)
	if err := os.WriteFile(filepath.Join(dir, "copy.json"), fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Evaluate[bool](t, ctx, `document.dispatchEvent(new Event("visibilitychange"))`)
	testenv.AwaitInPage(t, ctx, "the new copy says so", line+`.startsWith("Copy of `+now.Format("15:")+
		`") && !document.title.startsWith("Out of date")`)
	if to := testenv.Evaluate[string](t, ctx, `document.querySelector("a.brand").href`); to != server.URL+"/a/b/" {
		t.Errorf("the link to the front page leads to %s", to)
	}
}
