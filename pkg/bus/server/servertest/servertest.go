// Package servertest runs stock NATS servers in tests, from the configuration that `coordinator nats-config` creates.
package servertest

import (
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"
)

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
