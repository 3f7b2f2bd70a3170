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
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// requireLab ends a test where the lab cannot be built or a long story is not asked for.
func requireLab(t testing.TB) {
	t.Helper()
	testenv.Root(t)
	testenv.Programs(t, map[string]string{
		"ip": "iproute2", "nft": "nftables", postfixMaster: "postfix", dovecot: "dovecot-imapd", named: "bind9", nginx: "nginx-light",
	})
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testenv.Missing(t, "/dev/net/tun")
	}
	testenv.Long(t)
}

// server is one namespace with its place on the WAN.
type server struct {
	t       testing.TB
	name    string // of the host
	region  int    // in regions
	space   string // of the namespace
	address string
}

// wan joins servers through a router process of our own: a TUN device in each namespace, and a path a pair and direction.
type wan struct {
	t       testing.TB
	servers []*server
	paths   [][]path
	in      io.WriteCloser
	out     *bufio.Scanner
}

// networks counts those that were made, so that stories told side by side have namespaces of their own.
var networks atomic.Int32

func regionIndex(name string) int {
	for i, r := range regions {
		if r.name == name {
			return i
		}
	}
	panic("no region " + name)
}

// newWAN makes a namespace for each name, in the region given, and joins them. Addresses are of the block for benchmarks,
// RFC 2544.
func newWAN(t testing.TB, names []string, region map[string]string) *wan {
	t.Helper()
	w := &wan{t: t}
	prefix := fmt.Sprintf("pm%x-%d", os.Getpid()&0xffff, networks.Add(1))
	var sites []site
	for i, name := range names {
		s := &server{
			t: t, name: name, region: regionIndex(region[name]), space: prefix + "-" + strings.ToLower(name), address: fmt.Sprintf("198.18.0.%d", i+1),
		}
		w.servers = append(w.servers, s)
		sites = append(sites, site{s.space, s.address})
		s.ip("netns", "add", s.space)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.space).Run() })
		s.ip("-n", s.space, "link", "set", "lo", "up")
	}
	w.startRouter(sites)
	for _, s := range w.servers {
		s.ip("-n", s.space, "address", "add", s.address+"/32", "dev", device)
		s.ip("-n", s.space, "link", "set", device, "up")
		s.ip("-n", s.space, "route", "add", "default", "dev", device)
	}
	w.mend()
	return w
}

func (s *server) ip(args ...string) {
	s.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// startRouter starts the test binary again as the router.
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
			w.t.Errorf("the router: %v", err)
		}
	})
	w.hear("ready")
}

func (w *wan) hear(word string) {
	w.t.Helper()
	if !w.out.Scan() || w.out.Text() != word {
		w.t.Fatalf("the router says %q: %v", w.out.Text(), w.out.Err())
	}
}

// apply has the router work by the paths as they are now.
func (w *wan) apply() {
	w.t.Helper()
	if err := json.NewEncoder(w.in).Encode(w.paths); err != nil {
		w.t.Fatal(err)
	}
	w.hear("done")
}

// mend undoes everything.
func (w *wan) mend() {
	w.t.Helper()
	w.paths = make([][]path, len(w.servers))
	for i, a := range w.servers {
		for _, b := range w.servers {
			w.paths[i] = append(w.paths[i], between(a.region, b.region))
		}
	}
	w.apply()
}

// change changes the paths from the servers that the first function names to those that the second does.
func (w *wan) change(from, to func(*server) bool, do func(*path)) {
	w.t.Helper()
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

// in is the servers of these regions.
func in(names ...string) func(*server) bool {
	return func(s *server) bool { return slices.Contains(names, regions[s.region].name) }
}

func not(f func(*server) bool) func(*server) bool { return func(s *server) bool { return !f(s) } }

func isNamed(name string) func(*server) bool { return func(s *server) bool { return s.name == name } }

func cut(p *path) { p.Cut = true }

// dial connects from inside the server's namespace. The thread that entered it is given up with the goroutine, so that no
// other code ever runs there.
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

func (s *server) dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	if err := enter(s.space); err != nil {
		return nil, err
	}
	// Without a deadline and a second address family, the dialer makes its socket on this thread.
	return (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
}

// enter takes the calling thread into the namespace, for good.
func enter(space string) error {
	f, err := os.Open("/run/netns/" + space)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", space, err)
	}
	return nil
}

// TestWAN shows that the router does what it is told, with pings between two namespaces.
func TestWAN(t *testing.T) {
	requireLab(t)
	w := newWAN(t, []string{"a", "b"}, map[string]string{"a": "amsterdam", "b": "lusaka"})
	ping := func(from *server) (time.Duration, bool) {
		began := time.Now()
		to := w.servers[1-slices.Index(w.servers, from)]
		err := exec.Command("ip", "netns", "exec", from.space, "ping", "-q", "-c", "1", "-W", "1", to.address).Run()
		return time.Since(began), err == nil
	}
	if took, ok := ping(w.servers[0]); !ok || took < 165*time.Millisecond {
		t.Errorf("a ping took %v, answered: %v", took, ok)
	}
	w.change(isNamed("a"), isNamed("b"), cut)
	if _, ok := ping(w.servers[0]); ok {
		t.Error("a path that is cut was travelled")
	}
	if _, ok := ping(w.servers[1]); ok {
		t.Error("an answer came over a path that is cut")
	}
	w.mend()
	if _, ok := ping(w.servers[1]); !ok {
		t.Error("a mended path is not travelled")
	}
}
