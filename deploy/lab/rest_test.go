package lab

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

const (
	restWarm   = 40 * time.Second // for handshakes, the catalog, first probes and the edges' estimates
	restFor    = 2 * time.Minute
	restAgents = 10

	restInterval = 10 * time.Second

	// Limits of an agent at rest, low enough that nobody notices it on a server.
	restResident = 20 << 20               // bytes
	restTarget   = 150 * time.Millisecond // processor time per minute: 0.25 % of a core
	// The limit that fails the test is higher: beside busy processes the same work takes up to half as much again, and
	// on loopback the kernel accounts the other end of each connection to the agent.
	restCPU = 250 * time.Millisecond
)

// TestAgentAtRest measures memory and processor time of one agent of a mesh of ten hosts with three checks each, every
// 10 s, with all features on. Beside it runs blackbox_exporter with the same probes:
//
//	go test ./deploy/lab -run AgentAtRest -v
func TestAgentAtRest(t *testing.T) {
	testenv.RequireLong(t)
	p := build(t)
	p.agent = stripped(t)
	r := &rest{t: t, programs: p, data: t.TempDir()}
	r.serve()
	var measured *exec.Cmd
	for n := range restAgents {
		measured = r.join(n)
	}
	exporter := r.exporter()
	time.Sleep(restWarm)
	began := []time.Duration{cpuOf(t, measured), cpuOf(t, exporter)}
	time.Sleep(restFor)
	minute, exporters := perMinute(cpuOf(t, measured)-began[0]), perMinute(cpuOf(t, exporter)-began[1])
	memory := memoryOf(t, measured.Process.Pid)
	t.Logf("at rest: %.1f MB resident (%.1f MB anonymous, %.1f MB of files), %.3f CPU-seconds per minute (target %.2f)",
		mb(memory["VmRSS"]), mb(memory["RssAnon"]), mb(memory["RssFile"]), minute.Seconds(), restTarget.Seconds())
	status, err := exec.Command(p.agent, "status", "--state", r.last).Output()
	t.Logf("agent status:\n%s", status)
	if err != nil || !strings.Contains(string(status), fmt.Sprintf("%d peers", restAgents-1)) {
		t.Errorf("the agent does not gossip with the %d others: %v", restAgents-1, err)
	}
	composition(t, p.agent)
	if memory["VmRSS"] > restResident {
		t.Errorf("%d bytes are resident, limit %d", memory["VmRSS"], restResident)
	}
	if minute > restCPU {
		t.Errorf("%v of processor time per minute, limit %v", minute, restCPU)
	}
	if exporter != nil {
		compareWithExporter(t, exporter, minute, exporters)
	}
}

// stripped builds the agent as the packages do.
func stripped(t testing.TB) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "agent")
	const program = "github.com/probemesh/probemesh/agent"
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v: %s", err, printed)
	}
	return out
}

// rest is a coordinator and ten agents as processes on loopback addresses.
type rest struct {
	t        *testing.T
	programs programs
	data     string
	last     string             // the state directory of the agent that joined last
	ports    [restAgents][2]int // of each host's services: mail, web
}

// restAddress is a loopback address of its own for each host, so that all of them can use the same port for gossip.
func restAddress(n int) string { return fmt.Sprintf("127.0.71.%d", n+1) }

// serve starts the hosts' services and the coordinator, and waits until it is ready.
func (r *rest) serve() {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "defaults: {interval: %s, timeout: 3s}\nregions:\n", restInterval)
	for n := range restAgents {
		fmt.Fprintf(&b, "  - {name: r%d, city: C, country: NL, latitude: 1, longitude: 1}\n", n)
	}
	b.WriteString("hosts:\n")
	for n := range restAgents {
		smtp, web := r.listen(n, "220 mail ESMTP\r\n"), r.listen(n, "* OK\r\n")
		r.ports[n] = [2]int{smtp, web}
		fmt.Fprintf(&b, "  - name: NC%d\n    region: r%d\n    address: %s\n", n, n, restAddress(n))
		const checks = "    checks: [{kind: ping}, {kind: tcp, port: %d, banner: '^220'}, {kind: tcp, port: %d}]\n"
		fmt.Fprintf(&b, checks, smtp, web)
	}
	file := filepath.Join(r.data, "catalog.yaml")
	write(r.t, file, b.String())
	public := testenv.FreeAddress(r.t)
	r.start(r.programs.coordinator, "serve", "--catalog", file, "--data", r.data,
		"--listen", public, "--ops", "127.0.0.1:0",
		"--nats-listen", testenv.FreeAddress(r.t), "--advertise", "127.0.0.1")
	eventually(r.t, 30*time.Second, "the coordinator is ready", func() error {
		answer, err := http.Get("http://" + public + "/readyz")
		if err != nil {
			return err
		}
		answer.Body.Close()
		return nil
	})
}

// listen runs a service on the host's address that sends a greeting, until the test ends.
func (r *rest) listen(n int, greeting string) (port int) {
	r.t.Helper()
	l, err := net.Listen("tcp", restAddress(n)+":0")
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, greeting)
			conn.Close()
		}
	}()
	r.t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

// join invites a host and runs its agent until the test ends.
func (r *rest) join(n int) *exec.Cmd {
	r.t.Helper()
	state := r.t.TempDir()
	r.last = state
	token, err := exec.Command(r.programs.coordinator, "invite", fmt.Sprintf("NC%d", n), "--data", r.data).Output()
	if err != nil {
		r.t.Fatal(err)
	}
	join := exec.Command(r.programs.agent, "join", strings.TrimSpace(string(token)), "--state", state)
	if out, err := join.CombinedOutput(); err != nil {
		r.t.Fatalf("join: %v: %s", err, out)
	}
	return r.start(r.programs.agent, "run", "--state", state, "--gossip-listen", restAddress(n)+":27946")
}

// start runs a program until the test ends.
func (r *rest) start(program string, args ...string) *exec.Cmd {
	r.t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if r.t.Failed() {
			r.t.Logf("log of %s %s: %s", filepath.Base(program), args[0], log.Bytes()[:min(log.Len(), 2000)])
		}
	})
	return cmd
}

// cpuOf returns the processor time that a process used, in user and kernel mode. Without a process it is zero.
func cpuOf(t testing.TB, cmd *exec.Cmd) time.Duration {
	t.Helper()
	if cmd == nil {
		return 0
	}
	const tick = 10 * time.Millisecond // the unit of /proc, USER_HZ
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return time.Duration(user+system) * tick
}

// perMinute converts processor time used during restFor.
func perMinute(d time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(time.Minute) / float64(restFor))
}

// memoryOf returns the sizes in /proc/PID/status, in bytes.
func memoryOf(t testing.TB, pid int) map[string]int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var kb int
		name, rest, _ := strings.Cut(line, ":")
		if n, _ := fmt.Sscanf(rest, "%d kB", &kb); n == 1 {
			out[name] = kb << 10
		}
	}
	return out
}

func mb(n int) float64 { return float64(n) / (1 << 20) }
