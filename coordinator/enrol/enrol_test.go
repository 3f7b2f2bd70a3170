package enrol_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/enrol"
	"github.com/probemesh/probemesh/coordinator/enrol"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/wire"
)

// desk is a real server with a desk, and the hosts that were enrolled.
type desk struct {
	*enrol.Desk
	server   *server.Server
	enrolled []string
}

func open(t *testing.T) *desk {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.Coordinator()
	if err != nil {
		t.Fatal(err)
	}
	c, err := bus.DialCoordinator(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{server: s}
	d.Desk = enrol.New(enrol.Config{
		Bus: c, Issuer: s, Logger: zerolog.Nop(),
		KnownHost: func(key string) bool { return key == "nc036" },
		Enrolled:  func(_ context.Context, host, _ string) error { d.enrolled = append(d.enrolled, host); return nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	ready := make(chan struct{})
	tasks.Go(func() { _ = d.Run(ctx, ready) })
	<-ready
	t.Cleanup(func() { cancel(); tasks.Wait(); c.Close(); s.Close() })
	return d
}

func TestJoin(t *testing.T) {
	d := open(t)
	token, err := d.Invite(t.Context(), "NC036")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id, err := agent.Join(t.Context(), token, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := agent.Load(dir)
	if err != nil || loaded.Name != "nc036" || loaded.JWT != id.JWT || len(d.enrolled) != 1 {
		t.Fatalf("loaded %+v, enrolled %v: %v", loaded, d.enrolled, err)
	}
	if len(loaded.Gossip) != 1 || len(loaded.Gossip[0]) != wire.GossipKeySize {
		t.Errorf("gossip keys %v", loaded.Gossip)
	}
	conn, err := bus.DialAgent(t.Context(), bus.AgentConfig{Name: id.Name, Servers: id.Servers, JWT: id.JWT, Seed: id.Seed, CA: id.CA, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(t.Context(), "1", func() map[string]string { return nil }, []byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestTokensThatDoNotOpen(t *testing.T) {
	d := open(t)
	good, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := wire.ParseToken(good)
	forged.Secret = make([]byte, 16)
	other, _ := wire.ParseToken(good)
	other.Host = "nc041"
	foreign, _ := wire.ParseToken(good)
	foreign.Pin = make([]byte, 32)
	if _, err := agent.Join(t.Context(), good, t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{
		good:             "used",
		good[:40]:        "misspelt",
		forged.String():  "forged or foreign",
		other.String():   "forged or foreign",
		foreign.String(): "foreign",
	} {
		if _, err := agent.Join(t.Context(), token, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted %q, got %v", want, err)
		}
	}
	if _, err := d.Invite(t.Context(), "NC099"); err == nil {
		t.Error("a stranger was invited")
	}
	if _, err := agent.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has not joined yet") {
		t.Error(err)
	}
}

func TestAllAgentsAreGivenTheSameGossipKey(t *testing.T) {
	d := open(t)
	var keys []string
	for range 2 {
		token, err := d.Invite(t.Context(), "nc036")
		if err != nil {
			t.Fatal(err)
		}
		id, err := agent.Join(t.Context(), token, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(id.Gossip[0]))
	}
	if keys[0] != keys[1] {
		t.Error("two agents were given two keys")
	}
}
