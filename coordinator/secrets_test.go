package main

import (
	"bufio"
	"cmp"
	"fmt"
	"html"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// secretKind is where a check has its secret.
type secretKind string

const (
	inQuery    secretKind = "query"
	inPath     secretKind = "path"
	inBody     secretKind = "body"
	inBanner   secretKind = "banner"
	inHeader   secretKind = "header"
	inBearer   secretKind = "bearer"
	inPassword secretKind = "password"
	inMatch    secretKind = "body match"
	inJSON     secretKind = "body json"
	inLogin    secretKind = "login" // of a mail server
	bodyFile   secretKind = "body file"
	bannerFile secretKind = "banner file"
)

// expected are the kinds whose secret the server sends and the probe does not.
var expected = []secretKind{inBody, bodyFile, inBanner, bannerFile, inMatch, inJSON}

// secretKinds are twenty checks, each with a secret of its own. Every key that takes a secret is among them.
var secretKinds = map[secretKind]int{
	inQuery: 2, inPath: 2, inBody: 2, inBanner: 2, bodyFile: 2, bannerFile: 1, inHeader: 2, inBearer: 1, inPassword: 2,
	inMatch: 1, inJSON: 1, inLogin: 2,
}

// notifySecrets are the variables of notify and announce, which stay on the coordinator.
var notifySecrets = []string{
	"PM_MAIL_USER", "PM_MAIL_PASSWORD", "PM_HOOK_PATH", "PM_HOOK_SECRET", "PM_CHANNEL_PATH", "PM_ANNOUNCE_PATH",
}

// guarded is the services of twenty checks, which answer well only where the probe has the present secret, and a
// receiver of notifications that refuses them all.
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
	for _, name := range notifySecrets {
		value := "xyzzy-" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		t.Setenv(name, value)
		g.all = append(g.all, value)
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

// answer serves /I/..., with the secret in the query, the rest of the path, a header or the body. All else it refuses,
// and repeats the path.
func (g *guarded) answer(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	parts := strings.Split(r.URL.Path, "/")
	var i int
	if _, err := fmt.Sscan(parts[1], &i); err != nil || i >= len(g.kind) {
		g.sent[strings.Trim(r.URL.Path, "/")] = true
		http.Error(w, "refused: "+r.URL.Path, http.StatusNotFound)
		return
	}
	got := g.value[i]
	_, password, _ := r.BasicAuth()
	if places := map[secretKind]string{
		inQuery: r.URL.Query().Get("key"), inPath: parts[2], inHeader: r.Header.Get("X-Key"), inPassword: password,
		inBearer: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "),
	}; slices.Contains(slices.Collect(maps.Keys(places)), g.kind[i]) {
		got = places[g.kind[i]]
		g.sent[got] = true
	}
	answers := map[secretKind]string{inJSON: `{"key": "%s"}`, inMatch: "the answer is %s"}
	switch {
	case g.broken && answers[g.kind[i]] != "":
		fmt.Fprintf(w, answers[g.kind[i]], "not "+g.value[i])
	case g.broken && g.kind[i] != bodyFile:
		w.Header().Set("Location", "http://other.example"+r.URL.String())
		w.WriteHeader(http.StatusFound)
	case g.broken:
		_, _ = io.WriteString(w, "not the answer")
	case got != g.value[i]:
		w.WriteHeader(http.StatusForbidden)
	default:
		fmt.Fprintf(w, cmp.Or(answers[g.kind[i]], "the answer is %s"), g.value[i])
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
	return g.accept(func(conn net.Conn) {
		if g.kind[i] == inLogin {
			g.login(conn, i)
			return
		}
		g.mu.Lock()
		banner := "220 " + g.value[i] + "\r\n"
		if g.broken {
			banner = "554 not " + g.value[i] + "\r\n"
		}
		if g.broken && g.kind[i] == bannerFile { // whose pattern is the secret as a whole
			banner = "554 not ready\r\n"
		}
		g.mu.Unlock()
		_, _ = io.WriteString(conn, banner)
	})
}

// accept serves each connection to a new port, which it returns.
func (g *guarded) accept(serve func(net.Conn)) int {
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
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// login is a POP3 server that takes the secret as a password, and repeats what it refuses.
func (g *guarded) login(conn net.Conn, i int) {
	_, _ = io.WriteString(conn, "+OK ready\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		g.mu.Lock()
		word, rest, _ := strings.Cut(lines.Text(), " ")
		answer := "+OK\r\n"
		switch {
		case word == "CAPA":
			answer = "+OK\r\nUSER\r\n.\r\n"
		case word == "PASS" && (g.broken || rest != g.value[i]):
			answer = "-ERR not " + rest + "\r\n"
		}
		g.sent[rest] = true
		g.mu.Unlock()
		_, _ = io.WriteString(conn, answer)
	}
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
		case inHeader:
			options += "', headers: {X-Key: '" + variable + "'}"
		case inBearer:
			options += "', bearer: '" + variable + "'"
		case inPassword:
			options += "', user: probe, password: '" + variable + "'"
		case inMatch:
			options += "', body_match: 'answer is " + variable + "$'"
		case inJSON:
			options += "', body_json: {key: '" + variable + "'}"
		case inLogin:
			options = fmt.Sprintf("kind: pop3, port: %d, user: probe, password: '%s'", g.listen(i), variable)
		}
		fmt.Fprintf(&out, "      - {name: 'S%d', interval: 3s, timeout: 2s, %s}\n", i, options)
	}
	return out.String()
}

// notify returns the sections notify and announce, whose messages are all refused.
func (g *guarded) notify() string {
	return fmt.Sprintf(`page: {title: Test status, url: "http://127.0.0.1:9/"}
notify:
  mail: {server: "smtp://127.0.0.1:%d", from: a@example.net, user: "${PM_MAIL_USER}", password: "${PM_MAIL_PASSWORD}"}
  channels:
    - {name: hook, webhook: "%s/${PM_HOOK_PATH}", secret: "${PM_HOOK_SECRET}"}
    - {name: mail, email: [ops@example.net]}
    - {name: other, url: "generic+%[2]s/${PM_CHANNEL_PATH}"}
  routes:
    - {channels: [hook, mail, other]}
announce: [{url: "generic+%[2]s/${PM_ANNOUNCE_PATH}"}]
`, g.listenForMail(), g.url)
}

// listenForMail greets as a mail server does and refuses everything, and repeats it. It returns its port.
func (g *guarded) listenForMail() int {
	g.t.Helper()
	return g.accept(func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220 ready\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			answer := "535 refused: " + lines.Text() + "\r\n"
			if strings.HasPrefix(lines.Text(), "EHLO") {
				answer = "250-mail\r\n250 AUTH PLAIN LOGIN\r\n"
			}
			_, _ = io.WriteString(conn, answer)
		}
	})
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
		"    checks:\n" + g.checks() + g.notify()
	if err := os.WriteFile(m.path("catalog.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data, public := m.path("d"), testenv.FreeAddress(t)
	out := m.must(m.coordinator, "check", m.path("catalog.yaml"))
	m.startCoordinator(data, "--listen", public)
	programs := append(m.startAgents(data), m.serve)
	m.awaitChecks(data, g, mesh.Up)
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
			if !slices.Contains(expected, kind) && !g.wasSent(g.value[i]) {
				return false
			}
		}
		return true
	})
	m.awaitChecks(data, g, mesh.Up)
	g.setBroken(true)
	m.awaitChecks(data, g, mesh.Down)
	m.eventually("the webhooks were sent", func() bool {
		for _, name := range []string{"PM_HOOK_PATH", "PM_CHANNEL_PATH", "PM_ANNOUNCE_PATH"} {
			if !g.wasSent(os.Getenv(name)) {
				return false
			}
		}
		return true
	})
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

// awaitChecks waits until all checks of GUARDED have the verdict. One that is pending would never be down.
func (m *testbed) awaitChecks(data string, g *guarded, verdict mesh.Verdict) {
	m.t.Helper()
	others := ""
	defer func() {
		if m.t.Failed() {
			m.t.Logf("not %s: %s", verdict, others)
		}
	}()
	m.within(3*time.Minute, "all checks of GUARDED are "+string(verdict), func() bool {
		s, err := m.state(data)
		if err != nil {
			return false
		}
		others = ""
		checks := 0
		for _, h := range s.Snapshot.Hosts {
			if h.Name != "GUARDED" {
				continue
			}
			for _, c := range h.Checks {
				if checks++; c.Verdict != verdict {
					others += fmt.Sprintf("%s %s: %s; ", c.Name, c.Verdict, c.Sentence)
				}
			}
		}
		return checks == len(g.kind) && others == ""
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
		{"notify", "test"}, {"notify", "explain", "GUARDED"}, {"incident", "list"}, {"uptime", "--json"}, {"schema"},
	} {
		text, _ := m.run(m.coordinator, append(args, "--data", data)...)
		out += text
	}
	out += m.must(m.agent, "status", "--state", m.path("NC2"))
	examined, _ := m.run(m.agent, "doctor", "--state", m.path("NC2"))
	out += examined + m.probed(g)
	return out + m.read("http://"+m.ops) + m.read("http://"+public)
}

// linkTo finds the addresses on this server that a page or a document names.
var linkTo = regexp.MustCompile(`(?:href|src|action)="(/[^"#]*)"|"(/api/v[12]/[^"{]*)"`)

// read returns all pages that lead from the first one of a server, and all answers of its APIs.
func (m *testbed) read(server string) (out string) {
	m.t.Helper()
	next := []string{
		"/", "/api/v1/openapi.json", "/hosts/GUARDED", "/hosts/guarded", "/matrix", "/metrics", "/agents", "/catalog",
		"/incidents", "/history", "/feed.rss", "/feed.atom", "/feed.json", "/subscribe", "/api/v1/events", "/readyz",
		"/api/v1/uptime?host=GUARDED", "/api/v1/latency?host=GUARDED", "/api/v2/summary.json",
		"/api/v2/components.json", "/api/v2/incidents.json",
	}
	seen, read := map[string]bool{}, 0
	pace := time.NewTicker(25 * time.Millisecond) // one client may ask 50 times a second
	defer pace.Stop()
	for ; len(next) > 0 && len(seen) < 50; next = next[1:] {
		path := html.UnescapeString(next[0])
		if seen[path] || strings.HasPrefix(path, "/api/v1/events?") { // the streams of the pages
			continue
		}
		seen[path] = true
		<-pace.C
		client := http.Client{Timeout: 20 * time.Second}
		res, err := client.Get(server + path)
		if err != nil {
			m.t.Errorf("%s%s: %v", server, path, err)
			continue
		}
		if path == "/api/v1/events" { // which does not end
			time.AfterFunc(time.Second, func() { res.Body.Close() })
		}
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		out += string(body)
		if res.StatusCode == http.StatusOK {
			read++
		}
		for _, found := range linkTo.FindAllStringSubmatch(string(body), -1) {
			next = append(next, found[1]+found[2])
		}
	}
	if read < 20 {
		m.t.Errorf("%d pages of %s were read", read, server)
	}
	return out
}

// probed is what `agent probe` says of services that repeat the query in a wrong answer. A query is not part of what it
// prints; a path and a text that somebody typed are.
func (m *testbed) probed(g *guarded) (out string) {
	m.t.Helper()
	for i, kind := range g.kind {
		if slices.Contains([]secretKind{bannerFile, bodyFile, inJSON, inMatch}, kind) {
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

// searchStreams looks for the secrets in the messages of all streams, which are compressed in their files.
func searchStreams(t *testing.T, data string, g *guarded) {
	t.Helper()
	s, err := node.OpenBus(t.Context(), node.Config{Data: data, NATSListen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	streams, err := s.Streams()
	if err != nil {
		t.Fatal(err)
	}
	defer streams.Close()
	names, err := streams.Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages, references := map[string]int{}, false
	for _, stream := range names {
		err := streams.Each(t.Context(), stream, func(subject string, _ time.Time, data []byte) error {
			messages[stream]++
			references = references || stream == "LEDGER" && strings.Contains(string(data), "${PM_SECRET_")
			if values := g.shown(subject + string(data)); len(values) > 0 {
				t.Errorf("the stream %s holds %q in %s %s", stream, values, subject, data)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", stream, err)
		}
	}
	if !references || messages["OBS"] < 100 || messages["LEDGER"] == 0 || len(messages) < 3 {
		t.Errorf("searched are %v; the catalog has references: %t", messages, references)
	}
}
