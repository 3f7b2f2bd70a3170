package lab

import (
	"bytes"
	"context"
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

// storiesAtOnce is the number of parallel tests: more than most machines have cores, since a story mostly waits.
const storiesAtOnce = 3

func TestMain(m *testing.M) {
	if config := os.Getenv(routerVariable); config != "" {
		if err := route(config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "router:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set(strconv.Itoa(storiesAtOnce)) // cannot fail: it is a number
	}
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// programs are the built binaries of the project.
type programs struct{ agent, coordinator string }

// built is the directory of the programs, which are built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// build builds the programs at its first call.
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
		t.Fatalf("build the programs: %v", built.err)
	}
	return programs{filepath.Join(built.dir, "agent"), filepath.Join(built.dir, "coordinator")}
}

// process is a program that runs in a server's namespace, in a process group of its own, so that signals reach its
// children.
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
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", s.namespace, program}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", p.name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	s.t.Cleanup(p.end)
	return p
}

// end stops the process after the test, and shows the end of its log if the test failed.
func (p *process) end() {
	const tail = 4000 // bytes
	p.signal(syscall.SIGCONT)
	p.stop()
	if log, _ := os.ReadFile(p.log.Name()); p.t.Failed() {
		p.t.Logf("log of %s:\n%s", p.name, bytes.TrimSpace(log[max(0, len(log)-tail):]))
	}
	p.log.Close()
}

// stop terminates the process as an operator would, and waits until it has ended.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(time.Minute):
		p.t.Errorf("%s did not end within a minute of SIGTERM", p.name)
		p.kill()
	}
}

// signal signals the whole process group. The process may have ended already.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// kill ends the process without warning, as a power cut would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.done <- <-p.done
}

// run runs a command in the server's namespace, which must succeed, and returns its standard output.
func (s *server) run(program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.namespace, program}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s on %s: %v: %s%s", strings.Join(cmd.Args[4:], " "), s.name, err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// client returns an HTTP client that connects from inside the server's namespace.
func (s *server) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.dial}, Timeout: 30 * time.Second}
}

// eventually polls until the condition returns nil, and returns how long that took. After the time given it fails the
// test with the last error. It polls once even if no time is left, since another wait took it: what holds by then is
// in time, as far as the test can know.
func eventually(t testing.TB, within time.Duration, what string, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	var err error
	for polled := false; !polled || time.Since(began) < within; polled = true {
		if err = condition(); err == nil {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v: %v", what, within, err)
	return 0
}
