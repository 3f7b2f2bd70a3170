package backup_test

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// A stream is saved before those that it refers to: a restored summary never covers observations that the restored
// stream does not have, and a restored mark never refers to a catalog that the restored ledger does not have.
func TestStreamsAreSavedBeforeWhatTheyReferTo(t *testing.T) {
	dir := t.TempDir()
	s, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := coordinator.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exporter := &backup.Exporter{Dir: t.TempDir(), NATS: s}
	parts, err := exporter.BackupParts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	order := []int{
		slices.Index(parts, "streams/ROLLUP"), slices.Index(parts, "streams/OBS"), slices.Index(parts, "streams/LEDGER"),
	}
	if order[0] < 0 || !slices.IsSorted(order) {
		t.Errorf("the order is %v", parts)
	}
}
