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
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

var cities = []string{"amsterdam", "london", "toronto", "sydney"}

func newCatalog(t *testing.T) *catalog.Catalog {
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
	c, err := catalog.Parse("test.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// coordinator is an engine on a real bus.
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
	book, v, err := engine.OpenLedger(t.Context(), conn, filepath.Join(dir, "view.db"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := node.OpenCore(t.Context(), node.CoreConfig{
		Bus: conn, Ledger: book, View: v, Catalog: newCatalog(t), Streams: conn.Streams, Logger: zerolog.Nop(),
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
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("never: " + what)
}

// say has every agent but NC1's say of NC1 what it sees.
func (c *coordinator) say(t *testing.T, outcome mesh.Outcome, epoch uint64) {
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
		a, err := busagent.Dial(t.Context(), busagent.Config{Name: name, Endpoint: c.server.Endpoint(), JWT: token, Seed: seed, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		data, err := wire.EncodeBatch(&mesh.Batch{Agent: name, Epoch: epoch, Sequence: 1, Began: began, Observations: []mesh.Observation{
			{Host: "nc1", Check: "ping", Family: mesh.IPv4, Began: began, Outcome: outcome, Reason: "timeout", Sent: 1},
		}})
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

func TestVotesBecomeAHistoryThatARestartKeeps(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	c.say(t, mesh.Reachable, 1)
	eventually(t, "operational", func() bool { return c.status() == mesh.Operational })
	c.say(t, mesh.Unreachable, 2)
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

func TestACatalogThatEndsAWatchNeedsAWord(t *testing.T) {
	c := start(t, t.TempDir())
	fewer := newCatalog(t)
	fewer.Hosts = fewer.Hosts[:3]
	catalog.Seal(fewer)
	if _, err := c.core.Catalogs.Apply(t.Context(), fewer, "test", false); err == nil || !strings.Contains(err.Error(), "NC4") {
		t.Errorf("a host was dropped in silence: %v", err)
	}
	if _, err := c.core.Catalogs.Apply(t.Context(), fewer, "test", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new catalog is judged by", func() bool { _, s := c.core.Engine.Current(); return s.Revision == fewer.Revision })
}
