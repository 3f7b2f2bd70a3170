package enroller_test

import (
	"errors"
	"testing"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/enroller"
)

// While the agent of a renamed host uses the host's former name, no agent of another host can get that name.
func TestANameIsNotInvitedWhileTheAgentOfARenamedHostUsesIt(t *testing.T) {
	d := open(t)
	d.join(t, t.TempDir())
	token, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	d.id = "1d0000000002" // its host has another name now, and another host this one
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
