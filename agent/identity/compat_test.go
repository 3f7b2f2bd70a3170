package identity_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/probemesh/probemesh/agent/identity"
)

// An agent that joined with a program of the first format is still joined: its identity, as it was kept then, is read
// for ever.
func TestAnIdentityOfTheFirstFormatIsStillRead(t *testing.T) {
	data, err := os.ReadFile("testdata/v1/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := identity.Load(dir)
	if err != nil || id.Name != "nc036" || id.Servers[0] != "tls://192.0.2.1:4222" || id.JWT != "jwt" ||
		id.Seed != "not a real one" ||
		string(id.CA) != "-----BEGIN CERTIFICATE-----" {
		t.Errorf("%+v %v", id, err)
	}
}
