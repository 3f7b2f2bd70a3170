package site_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestCheckersFindNothing examines the pages in ten states with axe-core, as the aids of readers meet them, in a narrow
// window and both color schemes, and with the Nu HTML checker. Both are from npm, in the versions of
// testdata/node/package-lock.json. It stores pictures of the pages in the directory $PROBEMESH_SCREENSHOTS, if that is
// set.
func TestCheckersFindNothing(t *testing.T) {
	testenv.RequireLong(t)
	testenv.RequirePrograms(t, map[string]string{"npm": "npm", "java": "default-jre-headless"})
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
		"--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v: %s", err, out)
	}
	axe, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	htmlDir := filepath.Join(dir, "pages")
	if err := os.Mkdir(htmlDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, state := range webtest.States(t) {
		t.Run(state.Name, func(t *testing.T) {
			view := web.NewView(state.Source, web.Public)
			pages := site.New(site.Config{View: view})
			programs := api.New(api.Config{View: view, Pages: pages})
			h := web.NewHandler(zerolog.Nop(), web.Public, slices.Concat(pages.Routes(), programs.Routes())...)
			server := httptest.NewServer(h)
			defer server.Close()
			browser := testenv.NewBrowser(t)
			if dir := os.Getenv("PROBEMESH_SCREENSHOTS"); dir != "" {
				photographAll(t, browser, state.Name, server.URL, dir)
				browser = testenv.NewBrowser(t)
			}
			for n, path := range examined(state) {
				examine(t, browser, string(axe), server.URL+path)
				file := filepath.Join(htmlDir, fmt.Sprintf("%s-%d.html", state.Name, n))
				if err := os.WriteFile(file, []byte(body(t, h, path)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	// Without arguments that silence anything: errors, warnings and notes.
	vnu := exec.CommandContext(
		t.Context(),
		"java",
		"-jar",
		filepath.Join(dir, "node_modules/vnu-jar/build/dist/vnu.jar"),
		"--skip-non-html",
		"--format",
		"gnu",
		htmlDir,
	)
	if out, err := vnu.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("vnu (%v): %.4000s", err, strings.ReplaceAll(string(out), "file:"+htmlDir, ""))
	}
}

// examined are the pages that are examined in a state: in the first three all of them, in others those that differ.
func examined(state webtest.State) []string {
	paths := []string{"/", "/matrix"}
	if len(state.Source.Catalog.Hosts) > 0 {
		paths = append(paths, "/hosts/NC036", "/hosts/NC036/checks/sending-mail")
	}
	switch state.Name {
	case "all-well":
		paths = append(paths, "/incidents/a1-1", "/history", time.Now().UTC().Format("/history/2006/01"), "/posts/rack",
			"/search?q=supply", "/rule", "/tags/hardware", "/nothing", "/maintenance")
	case "maintenance":
		paths = append(paths, "/maintenance", "/maintenance/disk")
	case "one-down", "long-names":
		paths = append(paths, "/incidents/b1-1")
	case "four-down":
		paths = append(paths, "/incidents/c1-1")
	}
	return paths
}

// examine lets axe look at a page with everything unfolded, in both color schemes.
func examine(t *testing.T, ctx context.Context, axe, address string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 800), chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	testenv.Evaluate[bool](t, ctx, showCharts)
	testenv.AwaitInPage(t, ctx, "the page with its charts", `document.readyState === "complete" &&
		document.querySelectorAll("figure.chart").length === document.querySelectorAll(".plot canvas").length`)
	testenv.Evaluate[bool](t, ctx, axe+`; document.querySelectorAll("details").forEach(d => d.open = true); true`)
	for _, scheme := range []string{"light", "dark"} {
		// In the second scheme only colors differ.
		options := map[string]string{"light": `{}`, "dark": `{runOnly: {type: "rule", values: ["color-contrast"]}}`}[scheme]
		if _, err := chromedp.Run(ctx, testenv.ColorScheme(scheme)); err != nil {
			t.Fatal(err)
		}
		testenv.Evaluate[bool](t, ctx, `window.result = ""; axe.run(document, `+options+`).then(r => window.result =
			JSON.stringify(r.violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " +
			(n.any[0] || {}).message)]))); true`)
		testenv.AwaitInPage(t, ctx, "a result", `window.result !== ""`)
		var found []any
		if err := json.Unmarshal([]byte(testenv.Evaluate[string](t, ctx, `window.result`)), &found); err != nil {
			t.Fatal(err)
		}
		for _, v := range found {
			t.Errorf("%s, %s: %v", address, scheme, v)
		}
	}
	if wide := testenv.Evaluate[int](t, ctx, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("%s: %d px too wide at 360", address, wide)
	}
}
