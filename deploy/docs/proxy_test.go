package docs

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestNginxAsTheManualConfiguresIt runs nginx with the block of the manual in front of the status page: events come
// through at once though nginx buffers, answers stay compressed and validated, and each client has its own rate.
func TestNginxAsTheManualConfiguresIt(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"nginx": "nginx"})
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	address := startNginx(t, statusPage(t, source))
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, // the certificate is the test's
	}}
	defer client.CloseIdleConnections()

	page := fetch(t, client, address+"/", "Accept-Encoding", "br")
	if page.StatusCode != http.StatusOK || page.ProtoMajor != 2 || page.Header.Get("Content-Encoding") != "br" {
		t.Errorf("%s %s %v", page.Proto, page.Status, page.Header)
	}
	tag := page.Header.Get("ETag")
	again := fetch(t, client, address+"/", "Accept-Encoding", "br", "If-None-Match", tag)
	if again.StatusCode != http.StatusNotModified && again.Header.Get("ETag") == tag { // else the minute has ended
		t.Errorf("a page that the client has: %s", again.Status)
	}

	seesAChange(t, client, address, source)

	refusesARush(t, client, address+"/api/v2/status.json")
}

// refusesARush fails unless a client that asks without a pause is refused. It asks several times at once: one request
// becomes free every 20 ms, which on a busy machine is as long as one takes.
func refusesARush(t *testing.T, client *http.Client, url string) {
	t.Helper()
	var asked atomic.Int64
	var refused atomic.Bool
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			for n := asked.Add(1); n < 10_000 && !refused.Load() && !t.Failed(); n = asked.Add(1) {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
				// A client that names another one in the header is still itself.
				r.Header.Set("X-Forwarded-For", fmt.Sprint("192.0.2.", n%250))
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if res.StatusCode == http.StatusTooManyRequests {
					refused.Store(true)
				}
			}
		})
	}
	askers.Wait()
	if !refused.Load() {
		t.Errorf("%d requests were all answered", asked.Load())
	}
}

// seesAChange fails unless a change comes through a proxy at once.
func seesAChange(t *testing.T, client *http.Client, address string, source *webtest.Source) {
	t.Helper()
	stream := fetch(t, client, address+"/api/v1/events?page=/", "Accept", "text/event-stream")
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	awaitLine(t, lines, "event: status")
	shown := time.Now()
	source.Show(webtest.NewSource(t, mesh.Down, mesh.MajorOutage).Snapshot)
	// A proxy that buffers keeps what comes until there are some kilobytes more, which beats bring in minutes: the stream
	// ends before, by the client's limit.
	awaitLine(t, lines, "event: page")
	for lines.Scan() && lines.Text() != "" { // all of the event
	}
	if lines.Err() != nil {
		t.Fatalf("the event is cut off: %v", lines.Err())
	}
	t.Logf("a change took %s", time.Since(shown).Round(time.Millisecond))
	stream.Body.Close()
}

// statusPage serves the public site of a source.
func statusPage(t *testing.T, source web.Source) (hostPort string) {
	t.Helper()
	view := web.NewView(source, web.Public)
	pages := site.New(site.Config{View: view})
	routes := append(pages.Routes(), api.New(api.Config{View: view, Pages: pages}).Routes()...)
	server := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public, routes...))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// startNginx runs nginx with the manual's block, on a free port and with a certificate of its own.
func startNginx(t *testing.T, upstream string) (url string) {
	t.Helper()
	dir, listen := t.TempDir(), testenv.FreeAddress(t)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testenv.WriteCertificate(t, cert, key, 1)
	config := strings.NewReplacer("listen 443", "listen "+listen, "127.0.0.1:8080", upstream,
		"/etc/ssl/status.pem", cert, "/etc/ssl/status.key", key).Replace(proxyBlock(t, "nginx"))
	text := fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log %[1]s/error.log;\n", dir)
	text += "events {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += fmt.Sprintf("%s_temp_path %s/%[1]s;\n", kind, dir)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text+config+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "nginx", "-c", file, "-e", filepath.Join(dir, "error.log"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // ended by the signal
		if log, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
			t.Logf("nginx logged: %s", log)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", listen, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
			return "https://" + listen
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// proxyBlock is the manual's one block of the language.
func proxyBlock(t *testing.T, language string) string {
	t.Helper()
	for _, p := range readManual(t) {
		for _, b := range p.blocks {
			if b.language == language {
				return strings.Join(b.lines, "\n") + "\n"
			}
		}
	}
	t.Fatalf("the manual has no block of %s", language)
	return ""
}

// fetch asks for an address with pairs of header keys and values.
func fetch(t *testing.T, client *http.Client, url string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func awaitLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == want {
			return
		}
	}
	t.Fatalf("the stream ended before %q: %v", want, lines.Err())
}
