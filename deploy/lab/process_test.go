package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveVariable tells the test binary, started again inside a namespace, to be a mail server's front door.
const serveVariable = "PROBEMESH_LAB_SMTP"

func TestMain(m *testing.M) {
	if address := os.Getenv(serveVariable); address != "" {
		fmt.Fprintln(os.Stderr, greet(address))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// greet answers every connection as a mail server does first.
func greet(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprint(conn, "220 mail.example.net ESMTP\r\n")
		conn.Close()
	}
}

// programs are the built binaries of the project.
type programs struct{ agent, coordinator string }

func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"github.com/probemesh/probemesh/agent", "github.com/probemesh/probemesh/coordinator").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return programs{filepath.Join(dir, "agent"), filepath.Join(dir, "coordinator")}
}

// process is a program that runs in a server's namespace.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan error
}

// start runs a program in the server's namespace until the test ends. Its output is shown when the test fails.
func (s *server) start(name string, env []string, program string, args ...string) *process {
	t := s.net.t
	t.Helper()
	p := &process{t: t, name: s.name + " " + name, done: make(chan error, 1)}
	var err error
	if p.log, err = os.CreateTemp(t.TempDir(), "log"); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", s.space, program}, args...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(p.end)
	return p
}

// end stops the process as an operator would, and shows what it said where the test failed.
func (p *process) end() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not end within 20 s of SIGTERM", p.name)
		p.kill()
	}
	if p.t.Failed() {
		said, _ := os.ReadFile(p.log.Name())
		p.t.Logf("%s said:\n%s", p.name, bytes.TrimSpace(said))
	}
	p.log.Close()
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.done <- <-p.done
}

// run runs a command in the server's namespace to its end and returns what it printed.
func (s *server) run(program string, args ...string) string {
	s.net.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.space, program}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.net.t.Fatalf("%s on %s: %v: %s%s", strings.Join(cmd.Args[4:], " "), s.name, err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// client speaks HTTP from inside the server's namespace.
func (s *server) client() *http.Client {
	transport := &http.Transport{DialContext: s.dial, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

var errNotYet = errors.New("not yet")

// eventually polls until the condition holds, and fails with its last reason after the time given.
func eventually(t *testing.T, within time.Duration, what string, holds func() error) time.Duration {
	t.Helper()
	began := time.Now()
	err := errors.New("never asked")
	for time.Since(began) < within {
		if err = holds(); err == nil {
			return time.Since(began)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v: %v", what, within, err)
	return 0
}
