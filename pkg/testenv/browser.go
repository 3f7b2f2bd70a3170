package testenv

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// NewBrowser starts Chromium, with options besides the usual ones, and returns the context of a tab for chromedp. Both
// end with the test, or after ten minutes: a busy machine may need one to start the browser alone. Without Chromium the
// test is skipped, and in CI it fails.
func NewBrowser(t testing.TB, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(name); err == nil {
			path = name
		}
	}
	if path == "" {
		SkipOrFail(t, "Chromium (Debian: chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.WSURLReadTimeout(3*time.Minute))
	options = append(options, more...)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Evaluate returns the value of a JavaScript expression in the page.
func Evaluate[T any](t testing.TB, ctx context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	for end := time.Now().Add(time.Minute); err != nil && replacedMeanwhile(err) && time.Now().Before(end); {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	}
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// AwaitInPage waits until an expression holds in the page.
func AwaitInPage(t testing.TB, ctx context.Context, what, expression string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(2*time.Minute)))
		switch {
		case err == nil:
			return
		case replacedMeanwhile(err) && time.Now().Before(end):
			continue
		}
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.title + " / " + document.body.innerText`))
		t.Fatalf("never: %s (%v): %s", what, err, text)
	}
}

// replacedMeanwhile reports whether the browser replaced the page in which something was evaluated: it may do so even
// after it has reported the page as loaded.
func replacedMeanwhile(err error) bool {
	return slices.ContainsFunc(
		[]string{"Cannot find context", "Execution context was destroyed", "Inspected target navigated"},
		func(text string) bool { return strings.Contains(err.Error(), text) },
	)
}

// ColorScheme sets the color scheme that the browser prefers, light or dark.
func ColorScheme(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	}
}

// DisableScripts has the browser run no script of a page. Evaluate still works; what waits for a timer or a frame of
// the page, such as AwaitInPage, never ends.
func DisableScripts(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true})
	return chromedp.Void{}, err
}
