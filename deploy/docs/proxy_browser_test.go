package docs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestABrowserBehindNginxSeesChangesAtOnce opens the page in Chromium through nginx, which buffers as it does by
// default, and changes what it shows.
func TestABrowserBehindNginxSeesChangesAtOnce(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"nginx": "nginx"})
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	source.Snapshot.At = time.Now().Add(time.Minute) // it stays current while the browser starts
	// The certificate is the test's.
	ctx := testenv.NewBrowser(t, chromedp.Flag("ignore-certificate-errors", true))
	if err := chromedp.Do(ctx, chromedp.Navigate(startNginx(t, statusPage(t, source))+"/")); err != nil {
		t.Fatal(err)
	}
	// Each change of the page is noted by the page itself: asking it from here would take time too.
	testenv.AwaitInPage(t, ctx, "the page is live", `!!document.querySelector(".banner.up") && (window.seen = [], new
		MutationObserver(() => seen.push([Date.now(), document.querySelector(".banner").className]))
			.observe(document.querySelector("main"), {childList: true}), true)`)
	var took []time.Duration
	for i := range 5 {
		verdict, status, class := mesh.Down, mesh.MajorOutage, "banner down"
		if i%2 == 1 {
			verdict, status, class = mesh.Up, mesh.Operational, "banner up"
		}
		next := webtest.NewSource(t, verdict, status).Snapshot
		next.At = time.Now().Add(time.Minute)
		shown := time.Now()
		source.Show(next)
		// nginx would keep what it buffers until there are some kilobytes more, for which this does not wait.
		testenv.AwaitInPage(t, ctx, class, fmt.Sprintf(`seen.some(s => s[1] === %q)`, class))
		seen := testenv.Evaluate[int64](t, ctx, fmt.Sprintf(`seen.splice(0).find(s => s[1] === %q)[0]`, class))
		took = append(took, time.UnixMilli(seen).Sub(shown))
	}
	t.Logf("changes took %v", took)
}

// TestCaddyAsTheManualConfiguresIt runs Caddy with the block of the manual in front of the status page.
func TestCaddyAsTheManualConfiguresIt(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"caddy": "caddy"})
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	listen, dir := testenv.FreeAddress(t), t.TempDir()
	block := proxyBlock(t, "caddy")
	config := "{\nadmin off\n}\n" + strings.NewReplacer("status.example.net", "http://"+listen, "127.0.0.1:8080",
		statusPage(t, source)).Replace(block)
	for name, text := range map[string]string{"manual": block, "test": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	caddy := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "caddy", append(args, "--adapter", "caddyfile")...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		return cmd
	}
	out, err := caddy(t.Context(), "validate", "--config", filepath.Join(dir, "manual")).CombinedOutput()
	if err != nil {
		t.Fatalf("caddy validate: %v: %s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := caddy(ctx, "run", "--config", filepath.Join(dir, "test"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // ended by the signal
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	page := fetch(t, http.DefaultClient, "http://"+listen+"/", "Accept-Encoding", "br")
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Encoding") != "br" {
		t.Errorf("%s %v", page.Status, page.Header)
	}
	seesAChange(t, &http.Client{Timeout: time.Minute}, "http://"+listen, source)
}
