package enroller_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/errkind"
)

// dial connects as the agent.
func dial(t *testing.T, id agent.Identity) *busagent.Conn {
	t.Helper()
	a, err := busagent.Dial(t.Context(), busagent.Config{Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT,
		Seed: id.Seed, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// speaks reports whether the agent could publish within the time.
func publishes(t *testing.T, a *busagent.Conn, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return a.Publish(ctx, rand.Text(), func() map[string]string { return nil }, []byte("{}")) == nil
}

// await polls for as long as a slow machine may take.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func disconnected(a *busagent.Conn) bool { _, ok := a.Connected(); return !ok }

func TestARevokedAgentStaysDisconnected(t *testing.T) {
	dir, m := t.TempDir(), &members{}
	d := openAt(t, dir, m, nil)
	id := d.join(t, t.TempDir())
	a := dial(t, id)
	if !publishes(t, a, time.Minute) {
		t.Fatal("the agent cannot publish before it is revoked")
	}
	if already, err := d.Revoke(t.Context(), "NC036"); already || err != nil {
		t.Fatal(already, err)
	}
	await(t, "its connection is closed", func() bool { return disconnected(a) })
	if publishes(t, a, 2*time.Second) || !disconnected(a) {
		t.Error("a revoked agent publishes")
	}
	if publishes(t, dial(t, id), 2*time.Second) {
		t.Error("a new connection with a revoked key publishes")
	}
	if already, err := d.Revoke(t.Context(), "nc036"); !already || err != nil {
		t.Error("revoking again", already, err)
	}

	m.close() // and after a restart
	d = openAt(t, dir, m, nil)
	if publishes(t, dial(t, id), 2*time.Second) || !disconnected(a) {
		t.Error("a revoked agent publishes after a restart")
	}
	back := d.join(t, t.TempDir())
	if !publishes(t, dial(t, back), time.Minute) {
		t.Error("an agent that joined again cannot publish")
	}
	if !disconnected(a) {
		t.Error("joining again restored the old key")
	}
}

func TestACoordinatorThatWasDownCatchesUpOnRevocations(t *testing.T) {
	dir, m := t.TempDir(), &members{}
	id := openAt(t, dir, m, nil).join(t, t.TempDir())
	m.close()
	_ = m.Revoked(t.Context(), "nc036", m.enrolled[0]) // by another coordinator, meanwhile
	openAt(t, dir, m, nil)
	a := dial(t, id)
	await(t, "the agent is refused", func() bool { return disconnected(a) && !publishes(t, a, 300*time.Millisecond) })
}

func TestJoiningAgainRevokesTheFormerKey(t *testing.T) {
	d := open(t)
	lost := dial(t, d.join(t, t.TempDir()))
	if !publishes(t, lost, time.Minute) {
		t.Fatal("the agent cannot publish")
	}
	again := dial(t, d.join(t, t.TempDir()))
	await(t, "the former key is disconnected", func() bool { return disconnected(lost) })
	if !publishes(t, again, time.Minute) || publishes(t, lost, time.Second) {
		t.Error("the former key can still publish, or the new one cannot")
	}
}

func TestRevokingAnUnknownHostFails(t *testing.T) {
	d := open(t)
	for host, want := range map[string]string{"NC036": "NC036 never joined",
		"NC099": "no such host, and no agent of that name ever joined"} {
		_, err := d.Revoke(t.Context(), host)
		if err == nil || !strings.Contains(err.Error(), want) || errkind.Of(err) != errkind.NotFound {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestATokenFromBeforeTheRevocationIsRefused(t *testing.T) {
	d := open(t)
	d.join(t, t.TempDir())
	before, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Revoke(t.Context(), "nc036"); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Join(t.Context(), before, t.TempDir(), nil); err == nil ||
		!strings.Contains(err.Error(), "before this host was revoked") {
		t.Error(err)
	}
	d.join(t, t.TempDir())
}

var _ enroller.Members = (*members)(nil)

// gossipKey returns the gossip key of an agent that joins now. There must be one, and none of those that are held.
func gossipKey(t *testing.T, d *coordinator, held ...[]byte) []byte {
	t.Helper()
	id := d.join(t, t.TempDir())
	if len(id.Gossip) != 1 {
		t.Fatalf("a keyring of %d keys", len(id.Gossip))
	}
	for _, key := range held {
		if bytes.Equal(key, id.Gossip[0]) {
			t.Error("a gossip key that a revoked agent has is still in use")
		}
	}
	return id.Gossip[0]
}

// A rotation is in progress, so the revoked agent has the next key too.
func TestRevokingReplacesEveryGossipKeyOfTheAgent(t *testing.T) {
	d := open(t)
	dir := t.TempDir()
	d.join(t, dir)
	r := run(t, dir, time.Hour)
	await(t, "the agent is connected", func() bool { return !disconnected(r.Conn) })
	if _, err := d.RotateGossipKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the agent has two keys", func() bool { return len(r.keyrings()) == 1 && len(r.keyrings()[0]) == 2 })
	if _, err := d.Revoke(t.Context(), "nc036"); err != nil {
		t.Fatal(err)
	}
	key := gossipKey(t, d, r.keyrings()[0]...)
	await(t, "its connection is closed", func() bool { return disconnected(r.Conn) })
	if got := r.keyrings(); len(got) != 1 || slices.ContainsFunc(r.Identity().Gossip,
		func(k []byte) bool { return bytes.Equal(k, key) }) {
		t.Errorf("the revoked agent got %x", got)
	}
	// The rotation has ended, so another can begin.
	if _, err := d.RotateGossipKey(t.Context()); err != nil {
		t.Error(err)
	}
}

// The coordinator stopped between the revocation and the new gossip key, or another coordinator revoked.
func TestAStartReplacesGossipKeysThatARevokedAgentHas(t *testing.T) {
	dir, m := t.TempDir(), &members{}
	old := openAt(t, dir, m, nil).join(t, t.TempDir()).Gossip[0]
	m.close()
	_ = m.Revoked(t.Context(), "nc036", m.enrolled[0])
	d := openAt(t, dir, m, nil)
	await(t, "another gossip key", func() bool {
		return !bytes.Equal(d.join(t, t.TempDir()).Gossip[0], old)
	})
}
