package replica_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/feeds"
	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/coordinator/replica"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// original is the public site of a source.
func original(t *testing.T, s *webtest.Source) *httptest.Server {
	t.Helper()
	view := web.NewView(s, web.Public)
	pages := site.New(site.Config{View: view})
	programs := api.New(api.Config{View: view, Pages: pages, Streams: web.StreamsConfig{Beat: 50 * time.Millisecond}})
	server := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public,
		slices.Concat(pages.Routes(), programs.Routes(), feeds.New(view).Routes())...))
	t.Cleanup(server.Close)
	return server
}

// start runs a replica of what is at an address, and returns its site and what stops it.
func start(t *testing.T, from, dir string) (address string, stop func()) {
	t.Helper()
	base, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Open(replica.Config{
		Origin: &mirror.Origin{Base: base, Client: mirror.NewClient()}, Dir: dir, Silent: time.Second,
		Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	server := httptest.NewServer(r.Handler())
	stop = func() {
		if cancel != nil {
			cancel()
			server.CloseClientConnections()
			server.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		cancel = nil
	}
	t.Cleanup(stop)
	return server.URL, stop
}

func get(t *testing.T, address string) (status int, text string, h http.Header) {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

// await waits until the text at an address is as wanted.
func await(t *testing.T, address, what string, wanted func(status int, text string) bool) {
	t.Helper()
	var status int
	var text string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if status, text, _ = get(t, address); wanted(status, text) {
			return
		}
	}
	t.Fatalf("%s never %s: %d %.600s", address, what, status, text)
}

func contains(part string) func(int, string) bool {
	return func(status int, text string) bool { return status == http.StatusOK && strings.Contains(text, part) }
}

// A replica shows each change at once, and says of when it is as soon as it hears nothing; a restart changes neither.
func TestAReplicaFollowsAndOutlivesItsOriginal(t *testing.T) {
	t.Parallel()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Library = webtest.NewLibrary(t)
	s.Library.Write(ledger.PostEvent{ID: "01jabcdefgh", Mesh: time.Now().Add(-time.Hour)}, "New rack", "It is new.")
	live := func(v mesh.Verdict, status mesh.Status) {
		next := webtest.NewSource(t, v, status).Snapshot
		next.At = time.Now().Add(time.Minute) // beats go on while the test runs
		s.Show(next)
	}
	live(mesh.Up, mesh.Operational)
	from, dir := original(t, s), t.TempDir()
	address, stop := start(t, from.URL, dir)
	await(t, address+"/", "is copied", contains("All systems operational"))
	lines, _ := openStream(t, address, "/hosts/nc036")
	awaitLine(t, lines, "event: page")

	live(mesh.Down, mesh.MajorOutage)
	for lines.Scan() && !strings.Contains(lines.Text(), "Major outage") {
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	await(t, address+"/badge/nc036.svg", "shows the outage", contains("Major outage"))
	await(t, address+"/api/v2/status.json", "shows the outage", contains(`"critical"`))
	// On a busy machine no beat may come for a second, after which a copy rightly says that it is out of date.
	await(t, address+"/", "is called current while its original is heard", func(_ int, text string) bool {
		return strings.Contains(text, "Major outage") && !strings.Contains(text, "Out of date: as of")
	})
	live(mesh.Up, mesh.Operational)
	for _, path := range []string{
		"/posts/01jabcdefgh", "/hosts/NC036", "/badge/NC036/sending-mail.json", "/feed.atom", "/badge/NC036.json",
		"/badge.svg", "/api/v2/components.json", "/matrix", "/?utm_source=x",
	} {
		await(t, address+path, "is copied", func(status int, _ string) bool { return status == http.StatusOK })
	}
	await(t, address+"/hosts/NC036", "shows the end", contains("Mail: Operational"))

	shut(from)
	past := func(address string) {
		t.Helper()
		for path, want := range map[string]string{
			"/": "Out of date: as of", "/hosts/nc036": "Out of date: as of", "/posts/01jabcdefgh": "It is new.",
			"/badge.svg": ": Out of date", "/badge/NC036.json": `"Out of date"`, "/api/v2/status.json": `"Unknown: as of `,
			"/api/v2/components.json": `"Unknown: as of `,
		} {
			await(t, address+path, "says of when it is", contains(want))
			_, text, _ := get(t, address+path)
			if !strings.Contains(text, "<html") && strings.Contains(text, "perational") {
				t.Errorf("%s is still operational: %s", path, text)
			}
		}
	}
	past(address)
	stop()
	address, _ = start(t, from.URL, dir)
	past(address)
	// Beats end, so that open pages say it too.
	lines, _ = openStream(t, address, "/")
	for n := 0; n < 3 && lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "event: page") {
			t.Error("a page of the past is streamed as news")
		}
	}
}

// openStream reads what an open page gets.
func openStream(t *testing.T, address, page string) (lines *bufio.Scanner, end func()) {
	t.Helper()
	stream, err := http.Get(address + "/api/v1/events?page=" + page)
	if err != nil {
		t.Fatal(err)
	}
	end = func() { stream.Body.Close() }
	t.Cleanup(end)
	lines = bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	return lines, end
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

// What an original became that is not to be trusted: no script of it runs, and nothing but the site is served.
func TestNothingOfAHostileOriginalRuns(t *testing.T) {
	t.Parallel()
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Set-Cookie", "a=b")
			fmt.Fprint(w, `<title>x</title><meta http-equiv=refresh content="0;url=//e.example"><script>alert(1)</script>`+
				`<script src="/widget.js"></script><script src="/assets/evil.js"></script><base href="//e.example">`+
				`<iframe src="/"></iframe><form action="//e.example"></form><main id=main data-live="//e.example">`+
				`<a href="javascript:alert(1)">a</a><a href="/ack/x">b</a><img src=x onerror=alert(1)></main>`)
		case "/assets/evil.js", "/widget.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, "evil()")
		case "/badge.svg":
			w.Header().Set("Content-Type", "image/svg+xml")
			fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
		case "/api/v1/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, "event: beat\ndata: 9999-01-01T00:00:00Z\n\n"); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer shut(from)
	address, _ := start(t, from.URL, t.TempDir())
	await(t, address+"/", "is copied", func(status int, _ string) bool { return status == http.StatusOK })
	_, page, h := get(t, address+"/")
	for _, evil := range []string{
		"alert(1)</script>", "evil", "http-equiv", "<iframe", "<form", "<base", "/ack/", "widget",
	} {
		if strings.Contains(page, evil) {
			t.Errorf("the page has %s: %s", evil, page)
		}
	}
	policy := h.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'none'") || h.Get("Set-Cookie") != "" {
		t.Errorf("headers %v", h)
	}
	await(t, address+"/badge.svg", "is copied", func(status int, _ string) bool { return status == http.StatusOK })
	if _, _, h := get(t, address+"/badge.svg"); !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("a picture may run scripts: %v", h)
	}
	if status, text, _ := get(t, address+"/assets/evil.js"); status != http.StatusNotFound {
		t.Errorf("a foreign script is served: %d %s", status, text)
	}
	if _, text, _ := get(t, address+"/widget.js"); strings.Contains(text, "evil") {
		t.Error("a foreign script is served to other sites")
	}
}

// What is gone from the original leaves the copy as soon as somebody asks for it.
func TestAHostThatBecameInternalLeavesTheReplica(t *testing.T) {
	t.Parallel()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(time.Minute)
	address, _ := start(t, original(t, s).URL, t.TempDir())
	await(t, address+"/hosts/NC036", "is copied", contains("Mail"))
	s.HideHost("NC036")
	for _, path := range []string{"/hosts/NC036", "/badge/NC036.svg", "/hosts/nc036/feed.atom"} {
		await(t, address+path, "is gone", func(status int, _ string) bool { return status == http.StatusNotFound })
	}
}

// While the original announces changes that nobody can read, an open page says of when it is.
func TestAnOpenPageIsNotKeptCurrentByUnreadChanges(t *testing.T) {
	t.Parallel()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	states := []*mesh.Snapshot{s.Snapshot, webtest.NewSource(t, mesh.Down, mesh.MajorOutage).Snapshot}
	show := func(n int) {
		next := *states[n%2]
		next.At = time.Now().Add(time.Minute)
		s.Show(&next)
	}
	show(0)
	from, err := url.Parse(original(t, s).URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy, broken := httputil.NewSingleHostReverseProxy(from), atomic.Bool{}
	proxy.FlushInterval = -1
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if broken.Load() && q.URL.Path != "/api/v1/events" {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(front.Close)
	address, _ := start(t, front.URL, t.TempDir())
	await(t, address+"/hosts/NC036", "is copied", contains("Mail"))
	lines, endStream := openStream(t, address, "/hosts/nc036")
	awaitLine(t, lines, "event: beat")
	broken.Store(true)
	changes := time.NewTicker(700 * time.Millisecond)
	defer changes.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		for n := 1; ; n++ {
			select {
			case <-changes.C:
				show(n)
			case <-ctx.Done():
				endStream()
				return
			}
		}
	}()
	// After six seconds a page says by itself that it is out of date. A busy machine may take long to get there.
	current := time.Now()
	for time.Since(current) < 6*time.Second && lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), "data: ")
		if at, err := time.Parse(time.RFC3339, text); found && err == nil && time.Since(at) < 2*time.Second {
			current = time.Now()
		}
	}
	if ctx.Err() != nil {
		t.Errorf("the page was kept current until %v before the end", time.Since(current))
	}
}

// shut closes a server whose streams have no end: a client that connects again meanwhile would keep Close waiting.
func shut(s *httptest.Server) {
	closed := make(chan struct{})
	go func() { defer close(closed); s.Close() }()
	for {
		s.CloseClientConnections()
		select {
		case <-closed:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
