package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestClientsOfStatuspage reads the page with clients of Statuspage from npm, in the versions of
// testdata/node/package-lock.json and with nothing changed but the address: a library, and the widget in a browser.
func TestClientsOfStatuspage(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"node": "nodejs", "npm": "npm"})
	browser := testenv.NewBrowser(t)
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "read.mjs"} {
		data, err := os.ReadFile(filepath.Join("testdata", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
		return out
	}
	run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")

	source := webtest.NewSource(t, mesh.Down, mesh.MajorOutage)
	source.All = []*incident.Incident{webtest.Incidents()[0], takenOver()}
	page := httptest.NewServer(public(source))
	defer page.Close()
	var got struct {
		Page, Indicator                 string
		Components, Unresolved, Planned int
		Incidents                       [][]string
	}
	if out := run("node", "read.mjs", page.URL); json.Unmarshal(out, &got) != nil {
		t.Fatalf("%s", out)
	}
	if got.Page != source.Catalog.Page.Title || got.Indicator != "critical" || got.Components == 0 ||
		got.Unresolved != 1 || got.Planned != 0 || len(got.Incidents) != 2 {
		t.Errorf("the library reads %+v", got)
	} else if said := got.Incidents[1]; said[0] != "postmortem" || said[1] != "postmortem: Five accounts were hijacked." {
		t.Errorf("the library reads %q", said)
	}
	checkWidget(t, browser, dir, page.URL)
}

// checkWidget embeds the widget in a page of another site.
func checkWidget(t *testing.T, browser context.Context, dir, page string) {
	t.Helper()
	other := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer other.Close()
	const scripts = `<script src="node_modules/@webcomponents/custom-elements/custom-elements.min.js"></script>
<script src="node_modules/@statuspage/status-widget/dist/index.js"></script>`
	html := scripts + `<statuspage-widget src="` + page + `"></statuspage-widget>`
	if err := os.WriteFile(filepath.Join(dir, "widget.html"), []byte(html), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(browser, chromedp.Navigate(other.URL+"/widget.html")); err != nil {
		t.Fatal(err)
	}
	testenv.AwaitInPage(t, browser, "the widget to show the page's status",
		`document.querySelector("statuspage-widget").shadowRoot.textContent.includes("Major System Outage")`)
}
