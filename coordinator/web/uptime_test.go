package web_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/sla"
)

// upTimes returns the seconds of NC1 in the last day, as the public reads them.
func (m *markedMesh) upTimes(t *testing.T) sla.Times {
	t.Helper()
	var answer struct {
		Hosts []struct{ Seconds sla.Times }
	}
	_, body, _ := strings.Cut(visit(t, public(m), "/api/v1/uptime?days=1&host=NC1"), "{")
	if err := json.Unmarshal([]byte("{"+body), &answer); err != nil || len(answer.Hosts) != 1 {
		t.Fatalf("%v in {%s", err, body)
	}
	return answer.Hosts[0].Seconds
}

// What happened while a host was internal is no data for the public, and so is what the ledger lost.
func TestUptimeOfWhatThePublicCannotKnow(t *testing.T) {
	m := newMarkedMesh(t)
	shown := m.catalog
	m.run(40 * time.Second)
	before := m.upTimes(t)
	if before.NoData != 0 || before.Total() != 86_400 {
		t.Fatalf("%+v", before)
	}
	m.hide("NC1")
	m.run(30 * time.Second)
	m.append(ledger.CatalogEvent{Catalog: shown, Source: "test", Mesh: m.now})
	m.catalog = shown
	m.run(30 * time.Second)
	if after := m.upTimes(t); after.NoData < 30 || after.NoData > 32 || after.Total() != 86_400 {
		t.Errorf("after it was internal for 30 s: %+v", after)
	}
	lost := ledger.Gap{Stream: "LEDGER", First: 1, Last: 2, Before: m.now}
	if err := m.view.Losses().AddGaps(t.Context(), []ledger.Gap{lost}); err != nil {
		t.Fatal(err)
	}
	m.run(5 * time.Second)
	if after := m.upTimes(t); after.Up > 6 || after.NoData < 86_000 {
		t.Errorf("after a loss %+v", after)
	}
}
