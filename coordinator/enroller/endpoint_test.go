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

// issuer announces another endpoint than its own, if one is set.
type issuer struct {
	enroller.Issuer
	mu       sync.Mutex
	endpoint *bus.Endpoint
}

func (m *issuer) set(e bus.Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endpoint = &e
}

func (m *issuer) announced() bus.Endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.endpoint != nil {
		return *m.endpoint
	}
	return bus.Endpoint{Servers: m.Issuer.Servers(), CA: m.Issuer.CA()}
}

func (m *issuer) Servers() []string { return m.announced().Servers }
func (m *issuer) CA() []byte        { return m.announced().CA }

// openMovable opens a coordinator that can announce another endpoint.
func openMovable(t *testing.T, dir string, of *members) (*coordinator, *issuer) {
	t.Helper()
	m := &issuer{}
	d := openAt(t, dir, of, func(c *enroller.Config) { m.Issuer, c.Issuer = c.Issuer, m })
	return d, m
}

func stored(t *testing.T, dir string) agent.Identity {
	t.Helper()
	id, err := agent.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A coordinator moves to another address, with its signing keys and a new CA. A running agent follows.
func TestARunningAgentFollowsACoordinatorThatMoved(t *testing.T) {
	at, dir, moved := t.TempDir(), t.TempDir(), t.TempDir()
	here := &members{}
	d, announces := openMovable(t, at, here)
	d.join(t, dir)
	r := run(t, dir, 200*time.Millisecond)
	await(t, "the agent is connected", func() bool { return publishes(t, r.Conn, time.Second) })

	if err := os.CopyFS(filepath.Join(moved, "trust"), os.DirFS(filepath.Join(at, "trust"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(moved, "trust", "keys.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	there := &members{enrolled: slices.Clone(here.enrolled)}
	next, _ := openMovable(t, moved, there)
	endpoint := bus.Endpoint{Servers: next.server.Servers(), CA: next.server.CA()}
	if string(endpoint.CA) == string(d.server.CA()) {
		t.Fatal("the CA is the same")
	}
	announces.set(endpoint)
	await(t, "the agent stores the new endpoint and the former", func() bool {
		id := stored(t, dir)
		return slices.Equal(id.Servers, endpoint.Servers) && string(id.CA) == string(endpoint.CA) && id.Former != nil
	})
	if disconnected(r.Conn) || r.Uses(endpoint) {
		t.Error("a working connection was closed")
	}
	here.close()
	await(t, "the agent uses the new endpoint", func() bool { return r.Uses(endpoint) })
	if !publishes(t, r.Conn, time.Minute) {
		t.Error("its batches do not arrive")
	}
	await(t, "the former endpoint is forgotten", func() bool { return stored(t, dir).Former == nil })

	// The former CA is no longer trusted, not even at the new address.
	there.close()
	impostor := &members{enrolled: slices.Clone(here.enrolled), address: there.address}
	openMovable(t, at, impostor)
	if publishes(t, r.Conn, 3*time.Second) {
		t.Error("a server of the former CA is trusted")
	}
	impostor.close()
	openMovable(t, moved, &members{enrolled: slices.Clone(here.enrolled), address: there.address})
	if !publishes(t, r.Conn, time.Minute) {
		t.Error("the agent does not reconnect to its coordinator")
	}
}

// A coordinator that announces an unreachable address by mistake loses no agent, neither a running one nor one that is
// restarted.
func TestAnUnreachableEndpointLosesNoAgent(t *testing.T) {
	at, dir := t.TempDir(), t.TempDir()
	m := &members{}
	d, announces := openMovable(t, at, m)
	d.join(t, dir)
	r := run(t, dir, 200*time.Millisecond)
	own := announces.announced()
	nowhere := bus.Endpoint{Servers: []string{"tls://127.0.0.1:1"}, CA: own.CA}
	announces.set(nowhere)
	await(t, "the agent stores the endpoint", func() bool { return slices.Equal(stored(t, dir).Servers, nowhere.Servers) })
	m.close()
	_, announces = openMovable(t, at, m)
	announces.set(nowhere)
	if !publishes(t, r.Conn, time.Minute) {
		t.Error("a running agent is lost")
	}
	again := run(t, dir, 200*time.Millisecond)
	if !publishes(t, again.Conn, time.Minute) {
		t.Error("a restarted agent is lost")
	}
	announces.set(own)
	await(t, "only the right endpoint is stored", func() bool {
		id := stored(t, dir)
		return slices.Equal(id.Servers, own.Servers) && id.Former == nil
	})
}
