package sqlitefile_test

import (
	"path/filepath"
	"testing"

	"github.com/probemesh/probemesh/pkg/sqlitefile"
)

// A hundred pages that ask at once do not open a file a hundred times.
func TestReadersShareConnections(t *testing.T) {
	db, err := sqlitefile.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if n := db.Stats().MaxOpenConnections; n == 0 || n > 16 {
		t.Errorf("%d connections may be open; 0 is any number", n)
	}
}
