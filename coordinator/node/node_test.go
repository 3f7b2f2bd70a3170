package node_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/node"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// config is that of a node on free ports of this machine. Its directory's name is short, since that of the socket in it
// is bounded.
func config(t *testing.T) node.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const text = "regions: [{name: ams}]\nhosts: [{name: NC036, region: ams, address: 192.0.2.36}]\n"
	c, err := catalogfile.Parse("test.yaml", []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return node.Config{
		Data: dir, Catalog: c, NATSListen: "127.0.0.1:0", Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		DiskReserve: true, Logger: zerolog.Nop(),
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	c := config(t)
	n, err := node.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	// An event stream is open while the node stops: it must not delay that.
	stream, err := http.Get("http://" + n.PublicAddr().String() + "/api/v1/events?page=/")
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	if state, err := admin.NewClient(c.Data).State(ctx, time.Time{}); err != nil || state.Catalog.Host("nc036") == nil {
		t.Error("the commands get no answer:", err)
	}
	if res, err := http.Get("http://" + n.OpsAddr().String() + "/"); err != nil || res.StatusCode != http.StatusOK {
		t.Error("the operators get no answer:", res, err)
	}
	_, err = node.Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "another coordinator runs on") {
		t.Error("two coordinators on one directory:", err)
	}
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it stopped after %s", took)
	}
	n.Close()
	reopen(t, c)
}

// reopen checks that nothing of an earlier node on the directory is left.
func reopen(t *testing.T, c node.Config) {
	t.Helper()
	n, err := node.Open(t.Context(), c)
	if err != nil {
		t.Fatal("what failed is still open:", err)
	}
	n.Close()
}

// TestFailedOpenClosesEverything fails at each step that can fail, and opens the same directory at the same ports
// afterwards.
func TestFailedOpenClosesEverything(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := testenv.FreeAddress(t)
	for name, spoil := range map[string]func(c *node.Config){
		"the bus":             func(c *node.Config) { c.NATSListen = taken.Addr().String() },
		"the catalog":         func(c *node.Config) { c.CatalogFile = filepath.Join(c.Data, "missing.yaml") },
		"the certificate":     func(c *node.Config) { c.TLSCert = "missing.pem" },
		"the page":            func(c *node.Config) { c.Listen = taken.Addr().String() },
		"the operators' view": func(c *node.Config) { c.OpsListen = taken.Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			c.NATSListen = free
			spoilt := c
			spoil(&spoilt)
			if n, err := node.Open(t.Context(), spoilt); err == nil || n != nil {
				t.Fatal(n, err)
			}
			reopen(t, c)
		})
	}
}

// TestNodeThatNeverRanCanBeClosed is the start of a program that fails between Open and Run.
func TestNodeThatNeverRanCanBeClosed(t *testing.T) {
	c := config(t)
	reopen(t, c)
	reopen(t, c)
}

func TestCatalogMistakesAreReported(t *testing.T) {
	c := config(t)
	c.CatalogFile = filepath.Join(c.Data, "catalog.yaml")
	if err := os.WriteFile(c.CatalogFile, []byte("hosts: [{}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := node.Open(t.Context(), c)
	if mistakes := (catalogfile.Mistakes{}); !errors.As(err, &mistakes) {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for ops, ok := range map[string]bool{
		"127.0.0.1:8081": true, "localhost:8081": true, "[::1]:8081": true,
		":8081": false, "0.0.0.0:8081": false, "192.0.2.1:8081": false, "example.net:8081": false, "": false,
	} {
		if err := (node.Config{OpsListen: ops}).Validate(); (err == nil) != ok {
			t.Errorf("operators' view on %q: %v", ops, err)
		}
	}
}
