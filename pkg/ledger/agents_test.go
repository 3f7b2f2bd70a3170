package ledger_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/probemesh/probemesh/pkg/ledger"
)

func TestTheLastKeyOfAHostCountsUntilItIsRevoked(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	const host = "nc036"
	look := func(roster int, key string, revoked bool, ended ...string) {
		t.Helper()
		r, err := l.Roster(t.Context())
		if err != nil || len(r.Vantages) != roster {
			t.Errorf("roster %v: %v", r, err)
		}
		a, err := l.Agent(t.Context(), host)
		if err != nil || a.PublicKey != key || a.Revoked.IsZero() == revoked || a.Enrolled.IsZero() {
			t.Errorf("agent %+v: %v", a, err)
		}
		if got, err := l.EndedKeys(t.Context()); err != nil || !slices.Equal(got, ended) {
			t.Errorf("ended %v: %v", got, err)
		}
	}
	say := func(e ledger.AgentEvent) {
		t.Helper()
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Agent(t.Context(), host); !errors.Is(err, ledger.ErrNoAgent) {
		t.Error(err)
	}
	say(ledger.AgentEvent{Host: host, PublicKey: "A"})
	look(1, "A", false)
	say(ledger.AgentEvent{Host: host, PublicKey: "A", Revoked: true})
	look(0, "A", true, "A")
	say(ledger.AgentEvent{Host: host, PublicKey: "B"})
	look(1, "B", false, "A")
	say(ledger.AgentEvent{Host: host, PublicKey: "C"})
	look(1, "C", false, "A", "B")
}
