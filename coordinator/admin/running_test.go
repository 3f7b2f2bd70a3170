package admin_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/probemesh/probemesh/coordinator/admin"
)

// Commands find the coordinators that run, by their sockets, also where the data directory was given relative to
// another working directory.
func TestRunningCoordinatorsAreFound(t *testing.T) {
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Chdir(filepath.Dir(dir))
	l, err := admin.Listen(filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	found := slices.Contains(admin.Running(t.Context()), dir)
	if want := runtime.GOOS == "linux"; found != want {
		t.Errorf("the coordinator on %s is found: %v, want %v", dir, found, want)
	}
	l.Close()
	if slices.Contains(admin.Running(t.Context()), dir) {
		t.Errorf("a coordinator on %s is found after it stopped", dir)
	}
}
