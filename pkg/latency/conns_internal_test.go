package latency

import (
	"path/filepath"
	"testing"
)

// A hundred pages that ask at once do not open the file a hundred times.
func TestReadersShareConnections(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "latency.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if n := s.db.Stats().MaxOpenConnections; n == 0 || n > 16 {
		t.Errorf("%d connections may be open; 0 is any number", n)
	}
}
