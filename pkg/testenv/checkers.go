package testenv

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

//go:embed checkers/package.json checkers/package-lock.json
var checkerPackages embed.FS

// PageCheckers examine pages with axe-core and with the Nu HTML checker, both from npm.
type PageCheckers struct {
	axe   string // the script
	vnu   string // the path of the program
	pages string // the directory of the pages that vnu is to check
	count int
}

// NewPageCheckers installs the checkers in the versions of checkers/package-lock.json.
func NewPageCheckers(t testing.TB) *PageCheckers {
	t.Helper()
	RequirePrograms(t, map[string]string{"npm": "npm", "java": "default-jre-headless"})
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := checkerPackages.ReadFile("checkers/" + name)
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
	return &PageCheckers{
		axe: string(axe), vnu: filepath.Join(dir, "node_modules/vnu-jar/build/dist/vnu.jar"), pages: t.TempDir(),
	}
}

// ShowCharts is an expression that brings a page's charts into view, for which they load what draws them.
const ShowCharts = `document.querySelectorAll("figure.chart").forEach(f => f.scrollIntoView()); true`

// Examine lets axe look at the page of an address with everything unfolded, in a narrow window and both color schemes,
// and keeps its HTML for CheckHTML. The page must fit the window.
func (c *PageCheckers) Examine(t testing.TB, browser context.Context, address string, html []byte) {
	t.Helper()
	c.count++
	if err := os.WriteFile(filepath.Join(c.pages, fmt.Sprintf("%03d.html", c.count)), html, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(browser, chromedp.EmulateViewport(360, 800), chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	Evaluate[bool](t, browser, ShowCharts)
	AwaitInPage(t, browser, "the page with its charts", `document.readyState === "complete" &&
		document.querySelectorAll("figure.chart").length === document.querySelectorAll(".plot canvas").length`)
	Evaluate[bool](t, browser, c.axe+`; document.querySelectorAll("details").forEach(d => d.open = true); true`)
	for _, scheme := range []string{"light", "dark"} {
		// In the second scheme only colors differ.
		options := map[string]string{"light": `{}`, "dark": `{runOnly: {type: "rule", values: ["color-contrast"]}}`}[scheme]
		if _, err := chromedp.Run(browser, ColorScheme(scheme)); err != nil {
			t.Fatal(err)
		}
		Evaluate[bool](t, browser, `window.result = ""; axe.run(document, `+options+`).then(r => window.result =
			JSON.stringify(r.violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " +
			(n.any[0] || {}).message)]))); true`)
		AwaitInPage(t, browser, "a result", `window.result !== ""`)
		var found []any
		if err := json.Unmarshal([]byte(Evaluate[string](t, browser, `window.result`)), &found); err != nil {
			t.Fatal(err)
		}
		for _, v := range found {
			t.Errorf("%s, %s: %v", address, scheme, v)
		}
	}
	if wide := Evaluate[int](t, browser, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("%s: %d px too wide at 360", address, wide)
	}
}

// CheckHTML reports what the Nu HTML checker finds in all pages that were examined: errors, warnings and notes.
func (c *PageCheckers) CheckHTML(t testing.TB) {
	t.Helper()
	vnu := exec.CommandContext(t.Context(), "java", "-jar", c.vnu, "--skip-non-html", "--format", "gnu", c.pages)
	if out, err := vnu.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("vnu (%v): %.4000s", err, strings.ReplaceAll(string(out), "file:"+c.pages, ""))
	}
}
