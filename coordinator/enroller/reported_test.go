package enroller_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
)

// The coordinator knows when the credentials end that agents use: they say so when they ask for new ones.
func TestAgentsReportWhenTheirCredentialsEnd(t *testing.T) {
	d := openAt(t, t.TempDir(), &members{life: time.Hour}, nil)
	dir := t.TempDir()
	joined := d.join(t, dir)
	run(t, dir, time.Hour)
	token, err := bus.ReadJWT(joined.JWT)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the agent has asked", func() bool { return len(d.Credentials()) > 0 })
	got := d.Credentials()["nc036"]
	if !got.Ends.Equal(token.Expires) || !got.Issued.Equal(token.Issued) || got.Asked.IsZero() {
		t.Errorf("the credential is from %s to %s, reported as %+v", token.Issued, token.Expires, got)
	}
}
