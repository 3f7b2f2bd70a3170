package demo

import (
	"net"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestFailedOpenLeavesNothing: neither state on the disk nor services that listen.
func TestFailedOpenLeavesNothing(t *testing.T) {
	testenv.Lock(t, "demo") // another demo would take the ports that this one leaves, or lose its own to this one
	t.Setenv("TMPDIR", t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := Config{Listen: taken.Addr().String(), OpsListen: "127.0.0.1:0", Logger: zerolog.Nop()}
	if d, err := Open(t.Context(), config); err == nil || d != nil {
		t.Fatal(d, err)
	}
	if entries, err := os.ReadDir(os.TempDir()); err != nil || len(entries) > 0 {
		t.Error("state is left:", entries, err)
	}
	config.Listen = "127.0.0.1:0"
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	address := d.services[serviceKey{"nc036", "Sending mail"}].address
	d.Close()
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Errorf("a service still listens on %s", address)
	}
	if entries, err := os.ReadDir(os.TempDir()); err != nil || len(entries) > 0 {
		t.Error("state is left:", entries, err)
	}
}
