package view_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

func TestTheLastKeyOfAHostIsValidUntilItIsRevoked(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	const host = "nc036"
	want := func(roster int, key string, revoked bool, ended ...string) {
		t.Helper()
		r, err := l.view.Roster(t.Context())
		if err != nil || len(r.Vantages) != roster {
			t.Errorf("roster %v: %v", r, err)
		}
		a, err := l.view.Agent(t.Context(), host)
		if err != nil || a.PublicKey != key || a.Revoked.IsZero() == revoked || a.Enrolled.IsZero() {
			t.Errorf("agent %+v: %v", a, err)
		}
		if got, err := l.view.EndedKeys(t.Context()); err != nil || !slices.Equal(got, ended) {
			t.Errorf("ended %v: %v", got, err)
		}
	}
	if _, err := l.view.Agent(t.Context(), host); !errors.Is(err, ledger.ErrNoAgent) {
		t.Error(err)
	}
	l.append(t, ledger.AgentEvent{Host: host, PublicKey: "A", Mesh: time.Unix(10, 0)})
	want(1, "A", false)
	l.append(t, ledger.AgentEvent{Host: host, PublicKey: "A", Mesh: time.Unix(10, 0), Revoked: true})
	want(0, "A", true, "A")
	l.append(t, ledger.AgentEvent{Host: host, PublicKey: "B", Mesh: time.Unix(10, 0)})
	want(1, "B", false, "A")
	l.append(t, ledger.AgentEvent{Host: host, PublicKey: "C", Mesh: time.Unix(10, 0)})
	want(1, "C", false, "A", "B")
}
