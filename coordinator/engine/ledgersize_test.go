package engine_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/deploy/examples"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The ledger holds events: nothing is written to it by the mere passing of time.
func TestAnIdleLedgerDoesNotGrow(t *testing.T) {
	c := start(t, t.TempDir())
	c.publishAll(t, mesh.Reachable, 1)
	eventually(t, "published that NC1 is up", func() bool { return len(c.history(t)) > 0 })
	before := c.ledgerSize(t)
	time.Sleep(5 * time.Second)
	if after := c.ledgerSize(t); after != before {
		t.Errorf("it grew from %d to %d bytes in 5 s", before, after)
	}
}

// ledgerSize returns the bytes of the ledger as the server counts them.
func (c *coordinator) ledgerSize(t *testing.T) uint64 {
	t.Helper()
	streams, err := c.bus.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return streams[1].Bytes
}

// Bounds of the events' sizes in bytes, with which operate.md computes how long a disk lasts.
const (
	transitionMax   = 9 << 10 // with the votes of 9 regions by two address families
	catalogTenMax   = 8 << 10
	catalogThousand = 576 << 10
)

// TestBytesPerEvent measures what one event takes in a real ledger.
func TestBytesPerEvent(t *testing.T) {
	c := start(t, t.TempDir())
	getenv := func(string) (string, bool) { return "", false }
	ninernet, err := catalogfile.Parse("ninernet.yaml", examples.Ninernet, getenv)
	if err != nil {
		t.Fatal(err)
	}
	led, v, err := engine.OpenLedger(t.Context(), c.bus, filepath.Join(t.TempDir(), "view.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	now := time.Now()
	for _, test := range []struct {
		what  string
		max   uint64
		event ledger.Event
	}{
		{"transition, 9 regions", transitionMax, ledger.TransitionEvent{Transition: largeTransition(now)}},
		{"catalog, 10 hosts", catalogTenMax, ledger.CatalogEvent{Catalog: ninernet, Source: "catalog.yaml", Mesh: now}},
		{"catalog, 1000 hosts", catalogThousand, ledger.CatalogEvent{Catalog: times100(ninernet), Source: "x", Mesh: now}},
		{"enrolment", 1 << 10, ledger.AgentEvent{Host: "nc036", PublicKey: fmt.Sprintf("%056d", 0), Mesh: now}},
	} {
		before := c.ledgerSize(t)
		if err := led.Append(t.Context(), test.event); err != nil {
			t.Fatal(err)
		}
		size := c.ledgerSize(t) - before
		t.Logf("%s: %d bytes", test.what, size)
		if size > test.max {
			t.Errorf("%s takes %d bytes, and the manual computes with at most %d", test.what, size, test.max)
		}
	}
}

// largeTransition has the votes of nine regions, each by two address families.
func largeTransition(now time.Time) mesh.Transition {
	t := mesh.Transition{
		ID: "123456789-nc036-1", Sequence: 123456789, Host: "NC036", Public: true, Check: "Sending mail", Was: mesh.Up,
		Verdict: mesh.Down, From: mesh.Operational, To: mesh.MajorOutage, Began: now, Published: now, Offset: time.Second,
		Sentence: "Down: 9 of 9 regions got no answer within 5 s, first from Vancouver at 02:31:07.", Rule: "quorum",
		Tally: mesh.Tally{Voters: 9, Bad: 9},
	}
	for i := range 9 {
		name := fmt.Sprintf("region-%d", i)
		v := mesh.RegionVote{Region: name, Vote: mesh.Bad, Since: now, Why: "no answer within 5 s"}
		for _, family := range []mesh.Family{mesh.IPv4, mesh.IPv6} {
			v.Edges = append(v.Edges, mesh.EdgeState{
				Vantage: name, Family: family, Outcome: mesh.Unreachable, Stage: mesh.Settled, Reason: "no answer within 5 s",
				Address: "2001:db8:1234:5678::25", RTT: 5 * time.Second, At: now, Since: now, LastGood: now, LastBad: now,
				Vote: mesh.Bad,
			})
		}
		t.Votes = append(t.Votes, v)
	}
	return t
}

// times100 returns the catalog with each host a hundred times.
func times100(c *catalog.Catalog) *catalog.Catalog {
	large := *c
	large.Hosts = nil
	for i := range 100 {
		for _, h := range c.Hosts {
			h.Checks = withoutIDs(h.Checks)
			h.ID, h.Name = "", fmt.Sprintf("%s-%d", h.Name, i)
			large.Hosts = append(large.Hosts, h)
		}
	}
	catalog.Seal(&large)
	return &large
}
