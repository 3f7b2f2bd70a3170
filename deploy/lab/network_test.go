package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// requireLab skips a test unless long tests were asked for and this machine can run the lab.
func requireLab(t testing.TB) {
	t.Helper()
	testenv.RequireRoot(t)
	testenv.RequirePrograms(t, map[string]string{
		"ip": "iproute2", "nft": "nftables", postfixMaster: "postfix", dovecot: "dovecot-imapd", named: "bind9",
		nginx: "nginx-light",
	})
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testenv.SkipOrFail(t, "/dev/net/tun")
	}
	testenv.RequireLong(t)
}

// server is a network namespace with an address on the WAN.
type server struct {
	t         testing.TB
	name      string // of the host
	region    int    // index in regions
	namespace string
	address   string
}

// wan connects servers through a router process of our own, with a TUN device in each namespace and a path for each
// pair and direction. The kernel's netem would need a module that containers lack.
type wan struct {
	t       testing.TB
	servers []*server
	paths   [][]path
	in      io.WriteCloser
	out     *bufio.Scanner
	mu      sync.Mutex // of paths, in and out: two operators may break the mesh at the same time
}

// networks counts the WANs that were created, so that parallel tests have namespaces of their own.
var networks atomic.Int32

// regionIndex returns the index in regions, in whose order the round-trip times are.
func regionIndex(name string) int {
	for i, r := range regions {
		if r.name == name {
			return i
		}
	}
	panic("no region " + name)
}

// newWAN creates a namespace for each name, in the region given, and connects them. Addresses are from the block for
// benchmarks, RFC 2544, which is routed nowhere.
func newWAN(t testing.TB, names []string, region map[string]string) *wan {
	t.Helper()
	w := &wan{t: t}
	prefix := fmt.Sprintf("pm%x-%d", os.Getpid()&0xffff, networks.Add(1))
	var sites []site
	for i, name := range names {
		s := &server{
			t: t, name: name, region: regionIndex(region[name]),
			namespace: prefix + "-" + strings.ToLower(name), address: fmt.Sprintf("198.18.0.%d", i+1),
		}
		w.servers = append(w.servers, s)
		sites = append(sites, site{s.namespace, s.address})
		s.ip("netns", "add", s.namespace)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.namespace).Run() })
		s.ip("-n", s.namespace, "link", "set", "lo", "up")
	}
	w.startRouter(sites)
	for _, s := range w.servers {
		s.ip("-n", s.namespace, "address", "add", s.address+"/32", "dev", device)
		s.ip("-n", s.namespace, "link", "set", device, "up")
		s.ip("-n", s.namespace, "route", "add", "default", "dev", device)
	}
	w.mend()
	return w
}

// ip runs iproute2's ip on the outer machine.
func (s *server) ip(args ...string) {
	s.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// startRouter starts the test binary once more, as the router: see TestMain.
func (w *wan) startRouter(sites []site) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := json.Marshal(sites)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), routerVariable+"="+string(config)), os.Stderr
	if w.in, err = cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	w.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.in.Close()
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the router failed: %v", err)
		}
	})
	w.awaitReply("ready")
}

// awaitReply reads the next line from the router.
func (w *wan) awaitReply(want string) {
	w.t.Helper()
	if !w.out.Scan() || w.out.Text() != want {
		w.t.Fatalf("the router replies %q, want %q: %v", w.out.Text(), want, w.out.Err())
	}
}

// apply sends the paths to the router and returns when they are in effect.
func (w *wan) apply() {
	w.t.Helper()
	if err := json.NewEncoder(w.in).Encode(w.paths); err != nil {
		w.t.Fatal(err)
	}
	w.awaitReply("done")
}

// mend resets all paths to those of a WAN without faults.
func (w *wan) mend() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paths = make([][]path, len(w.servers))
	for i, a := range w.servers {
		for _, b := range w.servers {
			w.paths[i] = append(w.paths[i], between(a.region, b.region))
		}
	}
	w.apply()
}

// change modifies the paths from all servers that the first function selects to all that the second selects.
func (w *wan) change(from, to func(*server) bool, do func(*path)) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, a := range w.servers {
		for j, b := range w.servers {
			if i != j && from(a) && to(b) {
				do(&w.paths[i][j])
			}
		}
	}
	w.apply()
}

func anywhere(*server) bool { return true }

// in selects the servers of these regions.
func in(names ...string) func(*server) bool {
	return func(s *server) bool { return slices.Contains(names, regions[s.region].name) }
}

func not(f func(*server) bool) func(*server) bool { return func(s *server) bool { return !f(s) } }

func isNamed(name string) func(*server) bool { return func(s *server) bool { return s.name == name } }

func cut(p *path) { p.Cut = true }

// dial connects from inside the server's namespace. The goroutine ends with its thread locked, so that the runtime
// destroys the thread and no other code ever runs in the namespace.
func (s *server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		conn, err := s.dialHere(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// dialHere connects on the calling thread, which stays in the namespace.
func (s *server) dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	if err := enter(s.namespace); err != nil {
		return nil, err
	}
	// Without a deadline and a second address family, the dialer makes its socket on this thread.
	return (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
}

// enter moves the calling thread into the namespace, for good.
func enter(namespace string) error {
	f, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", namespace, err)
	}
	return nil
}

// TestWAN checks the router with pings between two namespaces: delay, a cut in one direction, and its end.
func TestWAN(t *testing.T) {
	requireLab(t)
	w := newWAN(t, []string{"a", "b"}, map[string]string{"a": "amsterdam", "b": "lusaka"})
	ping := func(from *server, wait string) (time.Duration, bool) {
		began := time.Now()
		to := w.servers[1-slices.Index(w.servers, from)]
		err := exec.Command("ip", "netns", "exec", from.namespace, "ping", "-q", "-c", "1", "-W", wait, to.address).Run()
		return time.Since(began), err == nil
	}
	if took, ok := ping(w.servers[0], "20"); !ok || took < 165*time.Millisecond {
		t.Errorf("a ping took %v, answered: %v", took, ok)
	}
	w.change(isNamed("a"), isNamed("b"), cut)
	if _, ok := ping(w.servers[0], "1"); ok {
		t.Error("a packet crossed a cut path")
	}
	if _, ok := ping(w.servers[1], "1"); ok {
		t.Error("an answer crossed a cut path")
	}
	w.mend()
	if _, ok := ping(w.servers[1], "20"); !ok {
		t.Error("no packet crosses a path whose cut ended")
	}
}
