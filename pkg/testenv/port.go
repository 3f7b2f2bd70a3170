//go:build unix

package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Free ports are below the range that the kernel gives to connections and to listeners at port 0 (from 32768), and
// above the ports of the demo.
const firstFreePort, lastFreePort = 22000, 32000

// FreePort returns a port of 127.0.0.1 at which nothing listens, over TCP and UDP. It stays that of the test until the
// test ends, also while nothing listens there: no other test gets it, in whichever process.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstFreePort + rand.IntN(lastFreePort-firstFreePort)
		if ReservePort(t, port) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// FreeAddress is 127.0.0.1 with a port as of FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// routesAbove is the difference between the ports of a NATS server in a cluster, as in `coordinator nats-config`.
const routesAbove = 2000

// FreeClusterPorts returns n ports as of FreePort, for the servers of a cluster. The port of each server's routes is
// the test's too.
func FreeClusterPorts(t testing.TB, n int) (out []int) {
	t.Helper()
	for len(out) < n {
		// The routes' port too must be below those that the kernel gives.
		if port := FreePort(t); port+routesAbove <= lastFreePort && ReservePort(t, port+routesAbove) {
			out = append(out, port)
		}
	}
	return out
}

// ReservePort makes a port that of the test, as FreePort does. It reports whether the port is free and no other test's.
func ReservePort(t testing.TB, port int) bool {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("probemesh-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !nothingListens(port) {
		_ = f.Close()
		return false
	}
	t.Cleanup(func() { _ = f.Close() }) // which unlocks it
	return true
}

func nothingListens(port int) bool {
	// A process that the test starts meanwhile would have these sockets too until it runs its program, so that the port
	// is still taken when this returns.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return c.Close() == nil
}
