package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// mission is a coordinator and four agents, each a process of its own as operators run them, on this machine's
// loopback. Each host has one service, a listener that the test may shut.
type mission struct {
	t            *testing.T
	dir          string
	coordinator  string // the program
	agent        string
	nats, ops    string // addresses
	serve        *program
	services     map[string]net.Listener
	addresses    map[string]string
	agentOptions []string
	as           *syscall.Credential // whom the programs run as; nil: who runs the test
}

var places = []string{"amsterdam", "london", "toronto", "sydney"}

// builtAgent is the agent's program, built once for all tests.
var builtAgent = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "agent")
	out, err := exec.Command("go", "build", "-o", path, "github.com/probemesh/probemesh/agent").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func newMission(t *testing.T) *mission {
	t.Helper()
	// The directory's name is short, since the socket's path is.
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &mission{t: t, dir: dir, coordinator: filepath.Join(dir, "coordinator"), nats: freeAddress(t), ops: freeAddress(t),
		services: map[string]net.Listener{}, addresses: map[string]string{}}
	if m.agent, err = builtAgent(); err != nil {
		t.Fatal(err)
	}
	// Under this name the test's own program runs the coordinator's main: see TestMain.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, m.coordinator); err != nil {
		t.Fatal(err)
	}
	m.writeCatalog()
	return m
}

func (m *mission) writeCatalog() {
	m.t.Helper()
	var regions, hosts strings.Builder
	for i, place := range places {
		host := fmt.Sprintf("NC%d", i+1)
		m.openService(host)
		_, port, _ := net.SplitHostPort(m.addresses[host])
		fmt.Fprintf(&regions, "  - {name: %s, city: %s, country: NL, latitude: 1, longitude: 1}\n", place, place)
		fmt.Fprintf(&hosts, "  - {name: %s, region: %s, address: 127.0.0.1, checks: [{kind: tcp, port: %s}]}\n", host, place, port)
	}
	hosts.WriteString("  - {name: NC5, region: sydney, checks: []}\n") // a vantage only, which no agent runs on
	text := "defaults: {interval: 2s, timeout: 1s}\nregions:\n" + regions.String() + "hosts:\n" + hosts.String()
	if err := os.WriteFile(m.path("catalog.yaml"), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// openService listens for the host's check, at the same address as before.
func (m *mission) openService(host string) {
	m.t.Helper()
	address := m.addresses[host]
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		m.t.Fatal(err)
	}
	m.services[host], m.addresses[host] = l, l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	m.t.Cleanup(func() { l.Close() })
}

func (m *mission) path(name string) string { return filepath.Join(m.dir, name) }

// program is a running process.
type program struct {
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan error
}

// lockedBuffer takes what a process says.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (m *mission) start(path string, args ...string) *program {
	m.t.Helper()
	p := &program{cmd: exec.Command(path, args...), log: &lockedBuffer{}, done: make(chan error, 1)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.as}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	m.t.Cleanup(func() {
		m.stop(p)
		if m.t.Failed() {
			said := p.log.String()
			m.t.Logf("%s %v said:\n%s", filepath.Base(path), args, said[max(0, len(said)-8000):])
		}
	})
	return p
}

// stop ends a process as systemd would, and waits for it.
func (m *mission) stop(p *program) {
	m.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		p.done <- err
		if err != nil {
			m.t.Errorf("%s ended with %v", p.cmd.Path, err)
		}
	case <-time.After(30 * time.Second):
		m.t.Errorf("%s did not end within 30 s of SIGTERM", p.cmd.Path)
		_ = p.cmd.Process.Kill()
		p.done <- <-p.done
	}
}

// run runs a command to its end and returns what it printed.
func (m *mission) run(path string, args ...string) (string, error) {
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return string(out), err
}

func (m *mission) must(path string, args ...string) string {
	m.t.Helper()
	out, err := m.run(path, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// startCoordinator serves a data directory, at the same addresses each time.
func (m *mission) startCoordinator(data string, more ...string) {
	m.t.Helper()
	m.serve = m.start(m.coordinator, append([]string{"serve", "--catalog", m.path("catalog.yaml"), "--data", data,
		"--listen", "127.0.0.1:0", "--ops", m.ops, "--nats-listen", m.nats}, more...)...)
	m.eventually("the coordinator answers", func() bool { _, err := m.state(data); return err == nil })
}

// startAgents has every host's agent join and run.
func (m *mission) startAgents(data string) (agents []*program) {
	m.t.Helper()
	for i := range places {
		host := fmt.Sprintf("NC%d", i+1)
		m.join(data, host, m.path(host))
		agents = append(agents, m.startAgent(host))
	}
	return agents
}

// join has a host's agent join in a directory of its own.
func (m *mission) join(data, host, state string) {
	m.t.Helper()
	out, err := exec.Command(m.coordinator, "invite", host, "--data", data).Output()
	if err != nil {
		m.t.Fatal(err)
	}
	m.must(m.agent, "join", strings.TrimSpace(string(out)), "--state", state)
}

func (m *mission) startAgent(host string) *program {
	return m.start(m.agent, append([]string{"run", "--state", m.path(host)}, m.agentOptions...)...)
}

func (m *mission) state(data string) (admin.State, error) {
	return admin.NewClient(data).State(m.t.Context(), time.Time{})
}

func (m *mission) statuses(data string) map[string]mesh.Status {
	out := map[string]mesh.Status{}
	s, err := m.state(data)
	if err != nil {
		return out
	}
	for _, h := range s.Snapshot.Hosts {
		out[h.Name] = h.Status
	}
	return out
}

func (m *mission) history(data, host string) []mesh.Transition {
	m.t.Helper()
	out, err := admin.NewClient(data).Transitions(m.t.Context(), host, 1000)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// becomes waits until the host has the status.
func (m *mission) becomes(data, host string, status mesh.Status) {
	m.t.Helper()
	m.eventually(host+" becomes "+string(status), func() bool { return m.statuses(data)[host] == status })
}

func (m *mission) eventually(what string, holds func() bool) {
	m.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	m.t.Fatalf("never: %s", what)
}

// get reads a page of the operators' view.
func (m *mission) get(path string) string {
	m.t.Helper()
	res, err := http.Get("http://" + m.ops + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Error(err)
	}
	return string(body)
}
