package enroller_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/pkg/bus"
)

// mover is an issuer that tells agents of another way to the bus than its own.
type mover struct {
	enroller.Issuer
	mu  sync.Mutex
	way *bus.Endpoint
}

func (m *mover) tell(w bus.Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.way = &w
}

func (m *mover) told() bus.Endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.way != nil {
		return *m.way
	}
	return bus.Endpoint{Servers: m.Issuer.Servers(), CA: m.Issuer.CA()}
}

func (m *mover) Servers() []string { return m.told().Servers }
func (m *mover) CA() []byte        { return m.told().CA }

// openMover is a coordinator that can tell of another way.
func openMover(t *testing.T, dir string, of *members) (*desk, *mover) {
	t.Helper()
	m := &mover{}
	d := openAt(t, dir, of, func(c *enroller.Config) { m.Issuer, c.Issuer = c.Issuer, m })
	return d, m
}

func kept(t *testing.T, dir string) agent.Identity {
	t.Helper()
	id, err := agent.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The coordinator moves to another address, with a CA made anew there and the keys it had: an agent that runs follows.
func TestARunningAgentFollowsACoordinatorThatMoved(t *testing.T) {
	at, dir, moved := t.TempDir(), t.TempDir(), t.TempDir()
	here := &members{}
	d, tells := openMover(t, at, here)
	d.join(t, dir)
	r := run(t, dir, 200*time.Millisecond)
	await(t, "the agent is there", func() bool { return speaks(t, r.Conn, time.Second) })

	if err := os.CopyFS(filepath.Join(moved, "trust"), os.DirFS(filepath.Join(at, "trust"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(moved, "trust", "keys.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	there := &members{enrolled: slices.Clone(here.enrolled)}
	next, _ := openMover(t, moved, there)
	way := bus.Endpoint{Servers: next.server.Servers(), CA: next.server.CA()}
	if string(way.CA) == string(d.server.CA()) {
		t.Fatal("the CA is the same")
	}
	tells.tell(way)
	await(t, "the agent keeps the new way, and the former", func() bool {
		id := kept(t, dir)
		return slices.Equal(id.Servers, way.Servers) && string(id.CA) == string(way.CA) && id.Former != nil
	})
	if gone(r.Conn) || r.Uses(way) {
		t.Error("a connection that works was given up")
	}
	here.close()
	await(t, "the agent is on the new way", func() bool { return r.Uses(way) })
	if !speaks(t, r.Conn, 10*time.Second) {
		t.Error("what it says does not arrive")
	}
	await(t, "the former way is forgotten", func() bool { return kept(t, dir).Former == nil })

	// The former CA is believed no more: a server of it at the new address is a stranger's.
	there.close()
	stranger := &members{enrolled: slices.Clone(here.enrolled), address: there.address}
	openMover(t, at, stranger)
	if speaks(t, r.Conn, 3*time.Second) {
		t.Error("a server of the former CA is believed")
	}
	stranger.close()
	openMover(t, moved, &members{enrolled: slices.Clone(here.enrolled), address: there.address})
	if !speaks(t, r.Conn, 20*time.Second) {
		t.Error("the agent does not come back to the coordinator that it believes")
	}
}

// A coordinator that names an address which leads nowhere, by a mistake, loses no agent: neither one that runs nor one
// that is started anew.
func TestAWayThatLeadsNowhereLosesNoAgent(t *testing.T) {
	at, dir := t.TempDir(), t.TempDir()
	m := &members{}
	d, tells := openMover(t, at, m)
	d.join(t, dir)
	r := run(t, dir, 200*time.Millisecond)
	own := tells.told()
	nowhere := bus.Endpoint{Servers: []string{"tls://127.0.0.1:1"}, CA: own.CA}
	tells.tell(nowhere)
	await(t, "the agent keeps what it is told", func() bool { return slices.Equal(kept(t, dir).Servers, nowhere.Servers) })
	m.close()
	_, tells = openMover(t, at, m)
	tells.tell(nowhere)
	if !speaks(t, r.Conn, 20*time.Second) {
		t.Error("an agent that runs is lost")
	}
	again := run(t, dir, 200*time.Millisecond)
	if !speaks(t, again.Conn, 20*time.Second) {
		t.Error("an agent that is started anew is lost")
	}
	tells.tell(own)
	await(t, "the right way is kept alone", func() bool {
		id := kept(t, dir)
		return slices.Equal(id.Servers, own.Servers) && id.Former == nil
	})
}
