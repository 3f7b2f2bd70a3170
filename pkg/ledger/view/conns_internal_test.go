package view

import (
	"path/filepath"
	"testing"
)

// A hundred pages that ask at once do not open the file a hundred times.
func TestReadersShareConnections(t *testing.T) {
	v, err := connect(t.Context(), filepath.Join(t.TempDir(), "view.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	if n := v.db.Stats().MaxOpenConnections; n == 0 || n > 16 {
		t.Errorf("%d connections may be open; 0 is any number", n)
	}
}
