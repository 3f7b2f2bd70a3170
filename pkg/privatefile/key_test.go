package privatefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/probemesh/probemesh/pkg/privatefile"
)

func TestAKeyIsCreatedOnceAndPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	first, err := privatefile.Key(file)
	if err != nil || len(first) != 32 {
		t.Fatal(len(first), err)
	}
	again, err := privatefile.Key(file)
	info, statErr := os.Stat(file)
	if err != nil || statErr != nil || string(again) != string(first) || info.Mode().Perm() != 0o600 {
		t.Error("another key, or one that others can read", err, statErr)
	}
	other, err := privatefile.Key(file + "2")
	if err != nil || string(other) == string(first) {
		t.Error("the key is not random", err)
	}
}
