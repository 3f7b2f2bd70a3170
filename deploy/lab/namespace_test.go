package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// requireNamespaces ends a test where network namespaces cannot be made or a long story is not asked for: skipped on a
// developer's machine, failed in CI.
func requireNamespaces(t *testing.T) {
	t.Helper()
	missing := ""
	if os.Getuid() != 0 {
		missing = "root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		missing = "the ip command (Debian: iproute2)"
	} else if os.Getenv("PROBEMESH_LONG") != "1" {
		missing = "PROBEMESH_LONG=1, since it takes over twenty seconds"
	}
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("this story needs %s, and in CI nothing is skipped", missing)
	default:
		t.Skipf("not told: this story needs %s", missing)
	}
}

// network is a set of servers, each in its own namespace, joined by one switch: a bridge in a namespace by itself.
type network struct {
	t      *testing.T
	prefix string
	count  int
}

// server is one namespace and its address on the switch.
type server struct {
	net     *network
	name    string // of the host
	space   string // of the namespace
	port    string // the switch's end of its cable
	address string
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, prefix: fmt.Sprintf("pm%x", os.Getpid()&0xffff)}
	n.ip("netns", "add", n.fabric())
	t.Cleanup(func() { n.try("netns", "del", n.fabric()) })
	n.ip("-n", n.fabric(), "link", "add", "switch", "type", "bridge")
	n.ip("-n", n.fabric(), "link", "set", "switch", "up")
	return n
}

func (n *network) fabric() string { return n.prefix + "-fabric" }

// add makes a server with a cable to the switch. Addresses are of the block for benchmarks, RFC 2544.
func (n *network) add(name string) *server {
	n.t.Helper()
	n.count++
	s := &server{
		net: n, name: name, space: n.prefix + "-" + strings.ToLower(name),
		port: fmt.Sprintf("port%d", n.count), address: fmt.Sprintf("198.18.0.%d", n.count),
	}
	n.ip("netns", "add", s.space)
	n.t.Cleanup(func() { n.try("netns", "del", s.space) })
	n.ip("link", "add", "eth0", "netns", s.space, "type", "veth", "peer", "name", s.port, "netns", n.fabric())
	n.ip("-n", n.fabric(), "link", "set", s.port, "master", "switch", "up")
	n.ip("-n", s.space, "link", "set", "lo", "up")
	n.ip("-n", s.space, "address", "add", s.address+"/24", "dev", "eth0")
	n.ip("-n", s.space, "link", "set", "eth0", "up")
	return s
}

// cut takes the server's cable out at the switch, and mend puts it back: the server itself does not notice.
func (s *server) cut()  { s.net.ip("-n", s.net.fabric(), "link", "set", s.port, "nomaster") }
func (s *server) mend() { s.net.ip("-n", s.net.fabric(), "link", "set", s.port, "master", "switch") }

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := n.try(args...); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (n *network) try(args ...string) ([]byte, error) {
	return exec.Command("ip", args...).CombinedOutput()
}

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
	space, err := os.Open("/run/netns/" + s.space)
	if err != nil {
		return nil, err
	}
	defer space.Close()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter namespace %s: %w", s.space, err)
	}
	// Without a deadline and a second address family, the dialer makes its socket on this thread.
	return (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
}
