package testenv

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// photograph writes a picture of the whole page, once its charts are drawn.
func photograph(t testing.TB, ctx context.Context, address string, width int, scheme, file string) {
	t.Helper()
	size := chromedp.EmulateViewport(int64(width), 900)
	if err := chromedp.Do(ctx, ColorScheme(scheme), size, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	Evaluate[bool](t, ctx, ShowCharts)
	AwaitInPage(t, ctx, "the page with its charts", `document.readyState === "complete" &&
		document.querySelectorAll("figure.chart").length === document.querySelectorAll(".plot canvas").length`)
	Evaluate[bool](t, ctx, `scrollTo(0, 0); true`)
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, shot, 0o600); err != nil {
		t.Fatal(err)
	}
}

// PhotographAll writes pictures of the page in each of the widths, light and dark: FILE-360-light.png and so on.
func PhotographAll(t testing.TB, ctx context.Context, address, file string, widths ...int) {
	t.Helper()
	for _, width := range widths {
		for _, scheme := range []string{"light", "dark"} {
			photograph(t, ctx, address, width, scheme, fmt.Sprintf("%s-%d-%s.png", file, width, scheme))
		}
	}
}
