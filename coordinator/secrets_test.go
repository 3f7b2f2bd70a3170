package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// secretKind is where a check has its secret.
type secretKind string

const (
	inQuery    secretKind = "query"
	inPath     secretKind = "path"
	inBody     secretKind = "body"
	inBanner   secretKind = "banner"
	bodyFile   secretKind = "body file"
	bannerFile secretKind = "banner file"
)

// secretKinds are twenty checks, each with a secret of its own.
var secretKinds = map[secretKind]int{inQuery: 5, inPath: 5, inBody: 2, inBanner: 2, bodyFile: 3, bannerFile: 3}

// guarded is the services of twenty checks, which answer well only where the probe has the present secret.
type guarded struct {
	t    *testing.T
	dir  string // of the secrets' files
	url  string
	kind []secretKind

	mu     sync.Mutex
	value  []string // the present secrets
	broken bool     // every service repeats its secret in a wrong answer
	sent   map[string]bool
	all    []string // every value that there was
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{t: t, dir: t.TempDir(), sent: map[string]bool{}}
	for kind, n := range secretKinds {
		for range n {
			g.kind = append(g.kind, kind)
		}
	}
	g.value = make([]string, len(g.kind))
	for i := range g.kind {
		g.set(i, fmt.Sprintf("xyzzy-%d-first", i))
	}
	s := httptest.NewServer(http.HandlerFunc(g.answer))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// set changes a secret, for the coordinator and the service.
func (g *guarded) set(i int, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.value[i], g.all = value, append(g.all, value)
	if g.kind[i] != bodyFile && g.kind[i] != bannerFile {
		g.t.Setenv(fmt.Sprintf("PM_SECRET_%d", i), value)
		return
	}
	if err := os.WriteFile(g.file(i), []byte(value+"\n"), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) file(i int) string { return filepath.Join(g.dir, fmt.Sprint(i)) }

func (g *guarded) setBroken(broken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = broken
}

// answer serves /KIND/I/..., with the secret in the query, the rest of the path or the body.
func (g *guarded) answer(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	parts := strings.Split(r.URL.Path, "/")
	var i int
	if _, err := fmt.Sscan(parts[1], &i); err != nil || i >= len(g.kind) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	got := r.URL.Query().Get("key")
	if g.kind[i] == inPath {
		got = parts[2]
	}
	g.sent[got] = true
	switch {
	case g.broken && g.kind[i] != bodyFile:
		w.Header().Set("Location", "http://other.example"+r.URL.String())
		w.WriteHeader(http.StatusFound)
	case g.broken:
		_, _ = io.WriteString(w, "not the answer")
	case (g.kind[i] == inQuery || g.kind[i] == inPath) && got != g.value[i]:
		w.WriteHeader(http.StatusForbidden)
	default:
		_, _ = io.WriteString(w, "the answer is "+g.value[i])
	}
}

// wasSent reports whether a probe sent the value.
func (g *guarded) wasSent(value string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent[value]
}

// listen serves the banner of a check, and returns its port.
func (g *guarded) listen(i int) int {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			banner := "220 " + g.value[i] + "\r\n"
			if g.broken {
				banner = "554 not " + g.value[i] + "\r\n"
			}
			g.mu.Unlock()
			_, _ = io.WriteString(conn, banner)
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// checks returns the checks as a catalog's lines.
func (g *guarded) checks() string {
	var out strings.Builder
	for i, kind := range g.kind {
		options := fmt.Sprintf("kind: http, url: '%s/%d/", g.url, i)
		switch variable := fmt.Sprintf("${PM_SECRET_%d}", i); kind {
		case inQuery:
			options += "?key=" + variable + "'"
		case inPath:
			options += variable + "'"
		case inBody:
			options += "', body: 'answer is " + variable + "'"
		case bodyFile:
			options += "', body: 'file:" + g.file(i) + "'"
		case inBanner:
			options = fmt.Sprintf("kind: tcp, port: %d, banner: '^220 %s$'", g.listen(i), variable)
		case bannerFile:
			options = fmt.Sprintf("kind: tcp, port: %d, banner: 'file:%s'", g.listen(i), g.file(i))
		}
		fmt.Fprintf(&out, "      - {name: 'S%d', %s}\n", i, options)
	}
	return out.String()
}

// shown returns which of the values are in a text.
func (g *guarded) shown(text string) (values []string) {
	for _, v := range g.all {
		if strings.Contains(text, v) {
			values = append(values, v)
		}
	}
	return values
}

// TestNoSecretIsShownOrStored serves, breaks, rotates, backs up and explains with twenty secrets, and looks for them in
// all that is written or printed. The services show that the probes have the values.
func TestNoSecretIsShownOrStored(t *testing.T) {
	g, m := newGuarded(t), newTestbed(t)
	catalog, err := os.ReadFile(m.path("catalog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(catalog) + "  - name: GUARDED\n    region: amsterdam\n    public: true\n    address: 127.0.0.1\n" +
		"    checks:\n" + g.checks()
	if err := os.WriteFile(m.path("catalog.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data, public := m.path("d"), freeAddress(t)
	out := m.must(m.coordinator, "check", m.path("catalog.yaml"))
	m.startCoordinator(data, "--listen", public)
	programs := append(m.startAgents(data), m.serve)
	m.awaitStatus(data, "GUARDED", mesh.Operational)
	m.stop(m.serve)
	for i := range g.kind { // variables are new at the next start
		if g.kind[i] != bodyFile && g.kind[i] != bannerFile {
			g.set(i, fmt.Sprintf("xyzzy-%d-second", i))
		}
	}
	m.startCoordinator(data, "--listen", public)
	programs = append(programs, m.serve)
	for i := range g.kind {
		if g.kind[i] == bodyFile || g.kind[i] == bannerFile { // files are read while it runs
			g.set(i, fmt.Sprintf("xyzzy-%d-second", i))
		}
	}
	m.eventually("probes send the new secrets", func() bool {
		for i, kind := range g.kind {
			if (kind == inQuery || kind == inPath) && !g.wasSent(g.value[i]) {
				return false
			}
		}
		return true
	})
	m.awaitStatus(data, "GUARDED", mesh.Operational)
	m.awaitDown(data, g)
	out += m.printed(data, public, g)
	for _, p := range programs {
		out += p.log.String()
	}
	if values := g.shown(out); len(values) > 0 || !strings.Contains(out, "redirects to http://other.example ") {
		t.Errorf("shown are %q, or the failures are not there", values)
	}
	m.must(m.coordinator, "backup", m.path("saved"), "--data", data)
	crashed := m.crash(programs[0]) + m.crash(m.serve)
	if values := g.shown(crashed); len(values) > 0 || strings.Count(crashed, "goroutine ") < 20 {
		t.Errorf("a crash shows %q, or no stacks: %.300s", values, crashed)
	}
	for _, p := range programs {
		m.stop(p)
	}
	searchFiles(t, m.dir, g)
	searchStreams(t, data, g)
}

// awaitDown breaks the services until all regions see it.
func (m *testbed) awaitDown(data string, g *guarded) {
	m.t.Helper()
	g.setBroken(true)
	m.eventually("GUARDED is down", func() bool {
		s := m.statuses(data)["GUARDED"]
		return s == mesh.MajorOutage || s == mesh.PartialOutage
	})
}

// crash has a program print the stacks of all its goroutines and end, as an unrecovered panic does, and returns what it
// printed.
func (m *testbed) crash(p *program) string {
	m.t.Helper()
	before := len(p.log.String())
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		m.t.Fatal(err)
	}
	select {
	case err := <-p.done:
		p.done <- nil
		if err == nil {
			m.t.Error("a program that crashed exits with 0")
		}
	case <-time.After(30 * time.Second):
		m.t.Fatal("a program did not end within 30 s of SIGQUIT")
	}
	return p.log.String()[before:]
}

// printed is all that commands, pages and APIs say of the mesh.
func (m *testbed) printed(data, public string, g *guarded) (out string) {
	m.t.Helper()
	for _, args := range [][]string{
		{"status"}, {"status", "--json"}, {"matrix"}, {"matrix", "--json"}, {"explain", "GUARDED"},
		{"explain", "GUARDED", "--json"}, {"apply", m.path("catalog.yaml")}, {"vantages", "--format", "plain"},
	} {
		text, _ := m.run(m.coordinator, append(args, "--data", data)...)
		out += text
	}
	out += m.must(m.agent, "status", "--state", m.path("NC2"))
	examined, _ := m.run(m.agent, "doctor", "--state", m.path("NC2"))
	out += examined + m.probed(g)
	paths := []string{
		"/", "/hosts/GUARDED", "/hosts/guarded", "/matrix", "/metrics", "/incidents", "/history", "/feed.rss",
		"/api/v1/matrix", "/api/v1/transitions", "/api/v1/votes", "/api/v1/events", "/api/v2/summary.json",
		"/api/v2/components.json", "/api/v2/incidents.json", "/readyz",
	}
	client := http.Client{Timeout: 2 * time.Second} // event streams do not end
	for _, server := range []string{m.ops, public} {
		for _, path := range paths {
			if res, err := client.Get("http://" + server + path); err == nil {
				body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
				res.Body.Close()
				out += string(body)
			}
		}
	}
	return out
}

// probed is what `agent probe` says of services that repeat the query in a wrong answer. A query is not part of what it
// prints; a path and a text that somebody typed are.
func (m *testbed) probed(g *guarded) (out string) {
	m.t.Helper()
	for i, kind := range g.kind {
		if kind == bannerFile || kind == bodyFile {
			continue // they do not redirect
		}
		text, err := m.run(m.agent, "probe", "http", fmt.Sprintf("%s/%d/?key=%s", g.url, i, g.value[i]))
		if err == nil {
			m.t.Errorf("a probe of a broken service succeeds: %s", text)
		}
		out += text
	}
	return out
}

// searchFiles looks for the secrets in the state of the coordinator and the agents, the view and the backup.
func searchFiles(t *testing.T, dir string, g *guarded) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if values := g.shown(string(content)); len(values) > 0 {
			t.Errorf("%s holds %q", path, values)
		}
		files++
		return err
	})
	if err != nil || files < 20 {
		t.Errorf("%d files searched, %v", files, err)
	}
}

// searchStreams looks for the secrets in the messages of the streams, which are compressed in their files.
func searchStreams(t *testing.T, data string, g *guarded) {
	t.Helper()
	s, err := node.OpenBus(t.Context(), node.Config{Data: data, NATSListen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := buscoordinator.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	messages, references := 0, false
	search := func(stream string, data []byte) {
		messages++
		references = references || strings.Contains(string(data), "${PM_SECRET_")
		if values := g.shown(string(data)); len(values) > 0 {
			t.Errorf("the stream %s holds %q in %s", stream, values, data)
		}
	}
	err = c.ReadLedger(t.Context(), 1, func(r bus.Record) error { search("LEDGER", r.Data); return nil })
	if err != nil || !references {
		t.Errorf("the ledger has no catalog with references: %v", err)
	}
	streams, err := c.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for _, info := range streams {
		if info.Name == "OBS" {
			last = info.Last
		}
	}
	end := errors.New("end")
	err = c.Follow(context.WithoutCancel(t.Context()), bus.Start{Sequence: 1}, func(m bus.Message) error {
		if search("OBS", m.Data); m.Sequence >= last {
			return end
		}
		return nil
	})
	if !errors.Is(err, end) || messages < 100 {
		t.Errorf("%d messages searched, %v", messages, err)
	}
}
