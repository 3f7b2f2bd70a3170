package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// An earlier version limited the ledger. One that is full accepts events again after the upgrade.
func TestALimitedLedgerLosesItsLimit(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c := lead(t, s)
	js := rawStreams(t, s)
	ledger, err := js.Stream(t.Context(), "LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	config := ledger.CachedInfo().Config
	config.MaxBytes = 64 << 10
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	entry := func(i int) []bus.Entry {
		return []bus.Entry{{Subject: "transition.nc036", ID: fmt.Sprint(i), Data: []byte(strings.Repeat("x", 8<<10))}}
	}
	n := 0
	for ; err == nil && n < 100; n++ {
		_, err = c.Append(t.Context(), entry(n))
	}
	if err == nil {
		t.Fatal("the limited ledger is never full")
	}
	c = lead(t, s) // a start of this version
	for i := range 100 {
		if _, err := c.Append(t.Context(), entry(n+i)); err != nil {
			t.Fatalf("after %d more events: %v", i, err)
		}
	}
}

// rawStreams returns JetStream as coordinators have it.
func rawStreams(t *testing.T, s *server.Server) jetstream.JetStream {
	t.Helper()
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(rawConn(t, s, &identity{config.JWT, config.Seed}, "coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	return js
}
