package lab

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// storiesAtOnce are more than there are cores, since a story mostly waits.
const storiesAtOnce = 3

func TestMain(m *testing.M) {
	if config := os.Getenv(routerVariable); config != "" {
		if err := route(config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "the router:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set(strconv.Itoa(storiesAtOnce)) // a number is one
	}
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// programs are the built binaries of the project.
type programs struct{ agent, coordinator string }

// built is where the programs are, built once for all stories.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func build(t testing.TB) programs {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "lab"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir+string(filepath.Separator),
			"github.com/probemesh/probemesh/agent", "github.com/probemesh/probemesh/coordinator").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatalf("build: %v", built.err)
	}
	return programs{filepath.Join(built.dir, "agent"), filepath.Join(built.dir, "coordinator")}
}

// process is a program that runs in a server's namespace, in a process group of its own.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan error
}

// start runs a program in the server's namespace until the test ends. Its output is shown when the test fails.
func (s *server) start(name, program string, args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, name: s.name + " " + name, done: make(chan error, 1)}
	var err error
	if p.log, err = os.CreateTemp(s.t.TempDir(), "log"); err != nil {
		s.t.Fatal(err)
	}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", s.space, program}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", p.name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	s.t.Cleanup(p.end)
	return p
}

// end stops the process as an operator would, and shows the end of what it said where the test failed.
func (p *process) end() {
	const lines = 4000 // bytes
	p.signal(syscall.SIGCONT)
	p.stop()
	if said, _ := os.ReadFile(p.log.Name()); p.t.Failed() {
		p.t.Logf("%s said:\n%s", p.name, bytes.TrimSpace(said[max(0, len(said)-lines):]))
	}
	p.log.Close()
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not end within 20 s of SIGTERM", p.name)
		p.kill()
	}
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.done <- <-p.done
}

// run runs a command in the server's namespace to its end and returns what it printed.
func (s *server) run(program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.space, program}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s on %s: %v: %s%s", strings.Join(cmd.Args[4:], " "), s.name, err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// client speaks HTTP from inside the server's namespace.
func (s *server) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.dial}, Timeout: 5 * time.Second}
}

// eventually polls until the condition holds, and fails with its last reason after the time given.
func eventually(t testing.TB, within time.Duration, what string, holds func() error) time.Duration {
	t.Helper()
	began := time.Now()
	err := errors.New("never asked")
	for time.Since(began) < within {
		if err = holds(); err == nil {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v: %v", what, within, err)
	return 0
}
