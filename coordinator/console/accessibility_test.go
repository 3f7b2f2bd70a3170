package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestCheckersFindNothing examines the console's pages as that of package site does: with axe-core in a narrow window
// and both color schemes, and with the Nu HTML checker.
func TestCheckersFindNothing(t *testing.T) {
	testenv.RequireLong(t)
	testenv.RequirePrograms(t, map[string]string{"npm": "npm", "java": "default-jre-headless"})
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("..", "site", "testdata", "node", name))
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
	h := examinedConsole(t)
	server := httptest.NewServer(h)
	defer server.Close()
	browser := testenv.NewBrowser(t)
	for n, path := range []string{
		"/", "/matrix", "/matrix?show=loss", "/agents", "/catalog", "/hosts/NC036", "/hosts/NC036?at=10m",
		"/hosts/NC036?at=72h", "/hosts/NC036/checks/ping", "/pairs/NC034/NC036/ping", "/regions/lusaka", "/transitions/280",
	} {
		examine(t, browser, string(axe), server.URL+path)
		file := filepath.Join(htmlDir, fmt.Sprintf("%02d.html", n))
		if err := os.WriteFile(file, get(t, h, "localhost", path).Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vnu := exec.CommandContext(t.Context(), "java", "-jar", filepath.Join(dir, "node_modules/vnu-jar/build/dist/vnu.jar"),
		"--skip-non-html", "--format", "gnu", htmlDir)
	if out, err := vnu.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("vnu (%v): %.4000s", err, strings.ReplaceAll(string(out), "file:"+htmlDir, ""))
	}
}

// examinedConsole is a console with something of everything: a check that is down, an advisory, a past and a change.
func examinedConsole(t *testing.T) http.Handler {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.Vantages = []mesh.VantageState{
		{Name: "NC034", Region: "lusaka", LastBatch: s.Snapshot.At},
		{Name: "NC036", Region: "amsterdam", LastBatch: s.Snapshot.At, Silent: true},
	}
	down := &s.Snapshot.Hosts[0]
	down.Status = mesh.PartialOutage
	down.Checks[0].Verdict, down.Checks[0].Advisories = mesh.Down, []string{"certificate ends in 4 days"}
	return console.New(console.Config{
		Source: fallen{source{s}}, Past: replayed{s, nil}, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
	})
}

// examine lets axe look at a page with everything unfolded, in both color schemes.
func examine(t *testing.T, ctx context.Context, axe, address string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 800), chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
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
