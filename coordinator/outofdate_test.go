package main

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestAnOpenPageSaysThatItIsOutOfDate kills the coordinator of an open page, has it stall, and brings it back.
func TestAnOpenPageSaysThatItIsOutOfDate(t *testing.T) {
	ctx := testenv.NewBrowser(t)
	m := newTestbed(t)
	address := testenv.FreeAddress(t)
	serve := func() *exec.Cmd {
		cmd := exec.Command(m.coordinator, "serve", "--catalog", m.path("catalog.yaml"), "--data", m.path("d"),
			"--listen", address, "--ops", m.ops, "--nats-listen", m.nats)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		m.eventually("the coordinator answers", func() bool { _, err := m.state(m.path("d")); return err == nil })
		return cmd
	}
	running := serve()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 600), chromedp.Navigate("http://"+address+"/")); err != nil {
		t.Fatal(err)
	}
	const current = `document.getElementById("stale").hidden && !document.title.startsWith("Out of date")`
	testenv.AwaitInPage(t, ctx, "the page hears the coordinator", current+` && (window.stayed = true)`)

	_ = running.Process.Kill()
	_ = running.Wait()
	awaitOutOfDate(t, ctx, "after SIGKILL")
	running = serve()
	testenv.AwaitInPage(t, ctx, "the page recovers from the death", current+" && window.stayed")

	_ = running.Process.Signal(syscall.SIGSTOP) // the kernel still accepts connections, and nothing is sent
	awaitOutOfDate(t, ctx, "after SIGSTOP")
	_ = running.Process.Signal(syscall.SIGCONT)
	testenv.AwaitInPage(t, ctx, "the page recovers from the stall", current+" && window.stayed")
}

// awaitOutOfDate waits until the page says at its top that it is out of date, wherever the reader has scrolled to.
func awaitOutOfDate(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	since := time.Now()
	if testenv.Evaluate[int](t, ctx, `(scrollTo(0, 1e6), 1)`) != 1 {
		t.Fatal("cannot scroll")
	}
	testenv.AwaitInPage(t, ctx, "out of date "+when, `(() => {
		const e = document.getElementById("stale"), r = e.getBoundingClientRect();
		return !e.hidden && r.top >= 0 && r.bottom < 200 && /^Out of date. Last heard \d\d:\d\d UTC\.$/.test(e.innerText)
			&& document.title.startsWith("Out of date") && document.getElementById("icon").href.includes("%235b6570")
			&& getComputedStyle(document.querySelector("main")).filter.includes("grayscale");
	})()`)
	t.Logf("%s the page said so within %s", when, time.Since(since).Round(100*time.Millisecond))
}
