package site_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// photographAll writes pictures of pages in a state, at three widths, light and dark.
func photographAll(t *testing.T, ctx context.Context, state, address, dir string) {
	t.Helper()
	for name, path := range pictured(state) {
		for _, width := range []int{360, 768, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				file := state + "-" + name + "-" + strconv.Itoa(width) + "-" + scheme + ".png"
				photograph(t, ctx, address+path, width, scheme, filepath.Join(dir, file))
			}
		}
	}
}

// pictured are the pages that are worth a picture in a state, by their names.
func pictured(state string) map[string]string {
	pages := map[string]string{"front": "/"}
	switch state {
	case "all-well":
		pages["host"], pages["matrix"], pages["history"] = "/hosts/NC036", "/matrix", "/history"
		pages["post"] = "/posts/rack"
	case "one-down":
		pages["check"], pages["incident"] = "/hosts/NC036/checks/sending-mail", "/incidents/b1-1"
		pages["matrix"] = "/matrix"
	case "maintenance":
		pages["maintenance"] = "/maintenance"
	case "long-names":
		pages["host"], pages["matrix"] = "/hosts/NC036", "/matrix"
	}
	return pages
}

// photograph writes a picture of the whole page.
func photograph(t *testing.T, ctx context.Context, address string, width int, scheme, file string) {
	t.Helper()
	size := chromedp.EmulateViewport(int64(width), 900)
	if err := chromedp.Do(ctx, testenv.ColorScheme(scheme), size, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	testenv.Evaluate[bool](t, ctx, testenv.ShowCharts)
	testenv.AwaitInPage(t, ctx, "the page with its charts", `document.readyState === "complete" &&
		document.querySelectorAll("figure.chart").length === document.querySelectorAll(".plot canvas").length`)
	testenv.Evaluate[bool](t, ctx, `scrollTo(0, 0); true`)
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, shot, 0o600); err != nil {
		t.Fatal(err)
	}
}
