package main

import (
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
	"github.com/probemesh/probemesh/pkg/testenv"
)

// testbed is a mesh of processes on this machine's loopback, as operators run them: a coordinator and four agents. Each
// host has one service, a listener that the test may close.
type testbed struct {
	t            *testing.T
	dir          string
	coordinator  string // the path of the program
	agent        string
	nats, ops    string // addresses
	serve        *program
	services     map[string]net.Listener
	addresses    map[string]string
	agentOptions []string
	as           *syscall.Credential // the user that programs run as; nil: the one who runs the test
}

var places = []string{"amsterdam", "london", "toronto", "sydney"}

// builtAgent returns the path of the agent's program, which is built once for all tests.
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

func newTestbed(t *testing.T) *testbed {
	t.Helper()
	// The name is short because a socket's path may have about a hundred characters.
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &testbed{
		t: t, dir: dir, coordinator: filepath.Join(dir, "coordinator"),
		nats: testenv.FreeAddress(t), ops: testenv.FreeAddress(t),
		services: map[string]net.Listener{}, addresses: map[string]string{},
	}
	if m.agent, err = builtAgent(); err != nil {
		t.Fatal(err)
	}
	// Called by this name the test's own program runs the coordinator's main: see TestMain.
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

// writeCatalog writes a catalog with a host in each of the places and opens the hosts' services.
func (m *testbed) writeCatalog() {
	m.t.Helper()
	var regions, hosts strings.Builder
	for i, place := range places {
		host := fmt.Sprintf("NC%d", i+1)
		m.openService(host)
		_, port, _ := net.SplitHostPort(m.addresses[host])
		fmt.Fprintf(&regions, "  - {name: %s, city: %s, country: NL, latitude: 1, longitude: 1}\n", place, place)
		fmt.Fprintf(&hosts, "  - {name: %s, region: %s, address: 127.0.0.1, checks: [{kind: tcp, port: %s}]}\n",
			host, place, port)
	}
	hosts.WriteString("  - {name: NC5, region: sydney, checks: []}\n") // a vantage only, on which no agent runs
	text := "defaults: {interval: 2s, timeout: 1s}\nregions:\n" + regions.String() + "hosts:\n" + hosts.String()
	if err := os.WriteFile(m.path("catalog.yaml"), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// openService listens for the host's check, at the same address each time.
func (m *testbed) openService(host string) {
	m.t.Helper()
	address := m.addresses[host]
	if address == "" {
		address = testenv.FreeAddress(m.t) // nobody else listens there while the service is closed
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

func (m *testbed) path(name string) string { return filepath.Join(m.dir, name) }

// program is a running process.
type program struct {
	cmd  *exec.Cmd
	log  *testenv.Log
	done chan error
}

// start starts a program, which is stopped when the test ends.
func (m *testbed) start(path string, args ...string) *program {
	m.t.Helper()
	p := &program{cmd: exec.Command(path, args...), log: &testenv.Log{}, done: make(chan error, 1)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.as}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	m.t.Cleanup(func() {
		m.stop(p)
		if m.t.Failed() {
			log := p.log.String()
			m.t.Logf("%s %v logged:\n%s", filepath.Base(path), args, log[max(0, len(log)-8000):])
		}
	})
	return p
}

// stop ends a process as systemd would, and waits for it.
func (m *testbed) stop(p *program) {
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
func (m *testbed) run(path string, args ...string) (string, error) {
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return string(out), err
}

// must is run for a command that must succeed.
func (m *testbed) must(path string, args ...string) string {
	m.t.Helper()
	out, err := m.run(path, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// startCoordinator starts a coordinator on a data directory, at the same addresses each time.
func (m *testbed) startCoordinator(data string, more ...string) {
	m.t.Helper()
	m.serve = m.start(m.coordinator, append([]string{"serve", "--catalog", m.path("catalog.yaml"), "--data", data,
		"--listen", "127.0.0.1:0", "--ops", m.ops, "--nats-listen", m.nats}, more...)...)
	m.eventually("the coordinator answers", func() bool { _, err := m.state(data); return err == nil })
}

// startMesh starts a coordinator and all agents, and waits until all hosts are operational.
func (m *testbed) startMesh(data string) {
	m.t.Helper()
	m.startCoordinator(data)
	m.startAgents(data)
	for host := range m.services {
		m.awaitStatus(data, host, mesh.Operational)
	}
}

// breakAndMend stops the host's service until it is in a major outage, and starts it again.
func (m *testbed) breakAndMend(data, host string) {
	m.t.Helper()
	m.services[host].Close()
	m.awaitStatus(data, host, mesh.MajorOutage)
	m.openService(host)
	m.awaitStatus(data, host, mesh.Operational)
}

// startAgents has every host's agent join and run.
func (m *testbed) startAgents(data string) (agents []*program) {
	m.t.Helper()
	for i := range places {
		host := fmt.Sprintf("NC%d", i+1)
		m.join(data, host, m.path(host))
		agents = append(agents, m.startAgent(host))
	}
	return agents
}

// join has a host's agent join, with its state in the directory.
func (m *testbed) join(data, host, state string) {
	m.t.Helper()
	out, err := exec.Command(m.coordinator, "invite", host, "--data", data).Output()
	if err != nil {
		m.t.Fatal(err)
	}
	m.must(m.agent, "join", strings.TrimSpace(string(out)), "--state", state)
}

func (m *testbed) startAgent(host string) *program {
	return m.start(m.agent, append([]string{"run", "--state", m.path(host)}, m.agentOptions...)...)
}

func (m *testbed) state(data string) (admin.State, error) {
	return admin.NewClient(data).State(m.t.Context(), time.Time{})
}

// statuses are the hosts' statuses; none while the coordinator does not answer.
func (m *testbed) statuses(data string) map[string]mesh.Status {
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

// history is the host's transitions, oldest first.
func (m *testbed) history(data, host string) []mesh.Transition {
	m.t.Helper()
	out, err := admin.NewClient(data).Transitions(m.t.Context(), host, 1000)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// awaitStatus waits until the host has the status.
func (m *testbed) awaitStatus(data, host string, status mesh.Status) {
	m.t.Helper()
	m.eventually(host+" becomes "+string(status), func() bool { return m.statuses(data)[host] == status })
}

// eventually waits until the condition holds, for as long as a slow machine may need: deploy/lab measures how fast it
// is.
func (m *testbed) eventually(what string, holds func() bool) {
	m.t.Helper()
	m.within(2*time.Minute, what, holds)
}

// within is eventually for what may take longer.
func (m *testbed) within(wait time.Duration, what string, holds func() bool) {
	m.t.Helper()
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	m.t.Fatalf("never: %s", what)
}

// get returns a page of the operators' view.
func (m *testbed) get(path string) string {
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
