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

	"github.com/probemesh/probemesh/pkg/errkind"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
)

// dial connects as the agent, and never gives up.
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
func speaks(t *testing.T, a *busagent.Conn, within time.Duration) bool {
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

func gone(a *busagent.Conn) bool { _, ok := a.Connected(); return !ok }

func TestARevokedAgentIsGoneForGood(t *testing.T) {
	dir, m := t.TempDir(), &members{}
	d := openAt(t, dir, m, nil)
	id := d.join(t, t.TempDir())
	a := dial(t, id)
	if !speaks(t, a, 10*time.Second) {
		t.Fatal("the agent cannot speak before it is revoked")
	}
	if already, err := d.Revoke(t.Context(), "NC036"); already || err != nil {
		t.Fatal(already, err)
	}
	await(t, "its connection is closed", func() bool { return gone(a) })
	if speaks(t, a, 2*time.Second) || !gone(a) {
		t.Error("a revoked agent speaks")
	}
	if speaks(t, dial(t, id), 2*time.Second) {
		t.Error("a new connection with a revoked key speaks")
	}
	if already, err := d.Revoke(t.Context(), "nc036"); !already || err != nil {
		t.Error("revoking again", already, err)
	}

	m.close() // and after a restart
	d = openAt(t, dir, m, nil)
	if speaks(t, dial(t, id), 2*time.Second) || !gone(a) {
		t.Error("a revoked agent speaks after a restart")
	}
	back := d.join(t, t.TempDir())
	if !speaks(t, dial(t, back), 10*time.Second) {
		t.Error("an agent that joined again cannot speak")
	}
	if !gone(a) {
		t.Error("joining again brought the old key back")
	}
}

func TestACoordinatorThatWasDownRevokesWhenItIsBack(t *testing.T) {
	dir, m := t.TempDir(), &members{}
	id := openAt(t, dir, m, nil).join(t, t.TempDir())
	m.close()
	_ = m.Revoked(t.Context(), "nc036", m.enrolled[0]) // by another, meanwhile
	openAt(t, dir, m, nil)
	a := dial(t, id)
	await(t, "the agent is kept out", func() bool { return gone(a) && !speaks(t, a, 300*time.Millisecond) })
}

func TestJoiningAgainAfterADiskLossEndsTheOldKey(t *testing.T) {
	d := open(t)
	lost := dial(t, d.join(t, t.TempDir()))
	if !speaks(t, lost, 10*time.Second) {
		t.Fatal("the agent cannot speak")
	}
	again := dial(t, d.join(t, t.TempDir()))
	await(t, "the old key is out", func() bool { return gone(lost) })
	if !speaks(t, again, 10*time.Second) || speaks(t, lost, time.Second) {
		t.Error("the key of the lost disk still speaks, or the new one does not")
	}
}

func TestWhatCannotBeRevokedSaysWhy(t *testing.T) {
	d := open(t)
	for host, want := range map[string]string{"NC036": "NC036 never joined",
		"NC099": "no such host, and no agent of that name ever joined"} {
		_, err := d.Revoke(t.Context(), host)
		if err == nil || !strings.Contains(err.Error(), want) || errkind.Of(err) != errkind.NotFound {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestATokenFromBeforeTheRevocationDoesNotOpen(t *testing.T) {
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

// gossipKey is the keyring that an agent that joins now is given: it must be one key, and none of those.
func gossipKey(t *testing.T, d *desk, held ...[]byte) []byte {
	t.Helper()
	id := d.join(t, t.TempDir())
	if len(id.Gossip) != 1 {
		t.Fatalf("a keyring of %d keys", len(id.Gossip))
	}
	for _, key := range held {
		if bytes.Equal(key, id.Gossip[0]) {
			t.Error("a gossip key that a revoked agent holds is still given out")
		}
	}
	return id.Gossip[0]
}

// A rotation is under way, so that the agent holds the next key too.
func TestRevokingReplacesEveryGossipKeyThatTheAgentHolds(t *testing.T) {
	d := open(t)
	dir := t.TempDir()
	d.join(t, dir)
	r := run(t, dir, time.Hour)
	await(t, "the agent is there", func() bool { return !gone(r.Conn) })
	if _, err := d.RotateGossipKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the agent holds two keys", func() bool { return len(r.told()) == 1 && len(r.told()[0]) == 2 })
	if _, err := d.Revoke(t.Context(), "nc036"); err != nil {
		t.Fatal(err)
	}
	key := gossipKey(t, d, r.told()[0]...)
	await(t, "its connection is closed", func() bool { return gone(r.Conn) })
	if told := r.told(); len(told) != 1 || slices.ContainsFunc(r.Identity().Gossip,
		func(k []byte) bool { return bytes.Equal(k, key) }) {
		t.Errorf("the revoked agent was given %x", told)
	}
	// The rotation ended with it: another may begin.
	if _, err := d.RotateGossipKey(t.Context()); err != nil {
		t.Error(err)
	}
}

// The coordinator died between the revocation and the new gossip key, or another one revoked.
func TestGossipKeysAreReplacedByACoordinatorThatStarts(t *testing.T) {
	dir, m := t.TempDir(), &members{}
	old := openAt(t, dir, m, nil).join(t, t.TempDir()).Gossip[0]
	m.close()
	_ = m.Revoked(t.Context(), "nc036", m.enrolled[0])
	d := openAt(t, dir, m, nil)
	await(t, "another gossip key", func() bool {
		return !bytes.Equal(d.join(t, t.TempDir()).Gossip[0], old)
	})
}
