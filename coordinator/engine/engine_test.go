package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

var cities = []string{"amsterdam", "london", "toronto", "sydney"}

func fourHosts(t *testing.T) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("regions:\n")
	for _, city := range cities {
		fmt.Fprintf(&b, "  - {name: %s, city: %s, country: NL, latitude: 1, longitude: 1}\n", city, city)
	}
	b.WriteString("hosts:\n")
	for i, city := range cities {
		fmt.Fprintf(&b, "  - {name: NC%d, region: %s, address: 192.0.2.%d}\n", i+1, city, i+1)
	}
	c, err := catalogfile.Parse("test.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// coordinator is a core on a real bus.
type coordinator struct {
	core   *node.Core
	server *server.Server
	bus    *buscoordinator.Conn
	stop   func()
}

func start(t *testing.T, dir string) *coordinator {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	way, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := buscoordinator.Dial(t.Context(), way)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	led, v, err := engine.OpenLedger(t.Context(), conn, filepath.Join(dir, "view.db"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := node.OpenCore(t.Context(), node.CoreConfig{
		Bus: conn, Ledger: led, View: v, Catalog: fourHosts(t), Streams: conn.Streams, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	c := &coordinator{core: e, server: s, bus: conn}
	c.stop = sync.OnceFunc(func() { cancel(); running.Wait(); v.Close(); conn.Close(); s.Close() })
	t.Cleanup(c.stop)
	eventually(t, "ready", e.Engine.Ready)
	return c
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("never " + what)
}

// publishAll has every agent but NC1's publish one observation of NC1.
func (c *coordinator) publishAll(t *testing.T, outcome mesh.Outcome, epoch uint64) {
	t.Helper()
	for i := 2; i <= len(cities); i++ {
		name := fmt.Sprintf("nc%d", i)
		public, seed, err := bus.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		token, err := c.server.Issue(name, public)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.core.Members.Enrolled(t.Context(), name, public); err != nil {
			t.Fatal(err)
		}
		a, err := busagent.Dial(t.Context(), busagent.Config{
			Name: name, Endpoint: c.server.Endpoint(), JWT: token, Seed: seed, Logger: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		b := &mesh.Batch{Agent: name, Epoch: epoch, Sequence: 1, Began: began}
		b.Observations = []mesh.Observation{
			{Host: "nc1", Check: "ping", Family: mesh.IPv4, Began: began, Outcome: outcome, Reason: "timeout", Sent: 1},
		}
		data, err := wire.EncodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		headers := func() map[string]string { return wire.EncodeHeaders(time.Since(began), time.Since(began)+time.Second) }
		if err := a.Publish(t.Context(), fmt.Sprint(name, epoch), headers, data); err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
}

func (c *coordinator) status() mesh.Status {
	_, s := c.core.Engine.Current()
	return s.Hosts[0].Status
}

func (c *coordinator) history(t *testing.T) []mesh.Transition {
	t.Helper()
	out, err := c.core.History.Transitions(t.Context(), "", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestARestartKeepsTheHistory(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	c.publishAll(t, mesh.Reachable, 1)
	eventually(t, "operational", func() bool { return c.status() == mesh.Operational })
	c.publishAll(t, mesh.Unreachable, 2)
	eventually(t, "down", func() bool { return c.status() == mesh.MajorOutage })
	before := c.history(t)
	c.stop()

	c = start(t, dir)
	if got := c.status(); got != mesh.MajorOutage {
		t.Errorf("after a restart the host is %s", got)
	}
	if diff := cmp.Diff(before, c.history(t)); diff != "" {
		t.Errorf("a restart changed the history: %s", diff)
	}
}
