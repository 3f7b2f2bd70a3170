package enroller_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/wire"
)

// While the agent of a renamed host uses the host's former name, no agent of another host can get that name.
func TestANameIsNotInvitedWhileTheAgentOfARenamedHostUsesIt(t *testing.T) {
	d := open(t)
	d.join(t, t.TempDir())
	token, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	d.rename()
	if _, err := d.Invite(t.Context(), "NC036"); !errors.Is(err, enroller.ErrNameInUse) {
		t.Errorf("invited: %v", err)
	}
	if _, err := agent.Join(t.Context(), token, t.TempDir(), nil); err == nil {
		t.Error("joined with a token from before")
	}
	if _, err := d.Revoke(t.Context(), "NC036"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Invite(t.Context(), "NC036"); err != nil {
		t.Errorf("after the agent was revoked: %v", err)
	}
}

// The agent of a renamed host gets credentials for the new name. Then the former name is free, and what the agent has
// for that is worth nothing any more.
func TestTheAgentOfARenamedHostGetsItsNewName(t *testing.T) {
	d := open(t)
	dir := t.TempDir()
	former := d.join(t, dir)
	r := run(t, dir, 500*time.Millisecond)
	d.rename()
	select {
	case <-r.Named():
	case <-time.After(time.Minute):
		t.Fatal("it did not get another name")
	}
	id, err := agent.Load(dir)
	if err != nil || id.Name != "nc037" || id.Seed != former.Seed {
		t.Fatal(id.Name, err)
	}
	if _, err := d.Invite(t.Context(), "NC036"); !errors.Is(err, enroller.ErrNameInUse) {
		t.Errorf("the former name was invited before the agent used the new one: %v", err)
	}
	r.Close()
	renamed := run(t, dir, 500*time.Millisecond)
	await(t, "the former name is free", func() bool {
		_, err := d.Invite(t.Context(), "NC036")
		return err == nil
	})
	if !publishes(t, renamed.Conn, time.Minute) {
		t.Error("it cannot publish under its new name")
	}

	stale, err := busagent.Dial(t.Context(), busagent.Config{Name: former.Name, Endpoint: former.Endpoint(),
		JWT: former.JWT, Seed: former.Seed, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer stale.Close()
	// They are revoked a moment after the name is free.
	await(t, "its former credentials are refused", func() bool { return !publishes(t, stale, 2*time.Second) })
	if _, err := d.Revoke(t.Context(), "nc037"); err != nil {
		t.Error(err)
	}
	if publishes(t, renamed.Conn, 2*time.Second) {
		t.Error("it publishes after it was revoked")
	}
}

// An agent of an earlier version does not understand another name, and goes on under its former one.
func TestAnAgentOfAnEarlierVersionKeepsItsName(t *testing.T) {
	d := open(t)
	first := d.join(t, t.TempDir())
	conn, err := busagent.Dial(t.Context(), busagent.Config{Name: first.Name, Endpoint: first.Endpoint(),
		JWT: first.JWT, Seed: first.Seed, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d.rename()
	token, err := bus.ReadJWT(first.JWT)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		answer, err := conn.Ask(t.Context(), []byte(`{"v":1,"want":"grant","key":"`+token.Key+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		var grant wire.JoinGrant
		if err := wire.DecodeJoin(answer, &grant); err != nil {
			t.Fatal(err)
		}
		if granted, err := bus.ReadJWT(grant.JWT); err != nil || granted.Name != "nc036" {
			t.Errorf("credentials for %q: %v", granted.Name, err)
		}
	}
}
