// Package servertest runs stock NATS servers in tests, from the configuration that `coordinator nats-config` creates.
// of its own.
package servertest

import (
	"fmt"
	"net"
	"os"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"
)

// routesAbove is the difference between a node's ports, as in `coordinator nats-config`.
const routesAbove = 2000

// FreePorts returns n loopback ports for nodes. The port of each node's routes is free too.
func FreePorts(t testing.TB, n int) (out []int) {
	t.Helper()
	for port := 20000 + os.Getpid()%10000; len(out) < n; port++ {
		if free(port) && free(port+routesAbove) {
			out = append(out, port)
		}
	}
	return out
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Start runs a server with a configuration file until the test ends.
func Start(t testing.TB, file string) *natsd.Server {
	t.Helper()
	opts, err := natsd.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := natsd.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}
