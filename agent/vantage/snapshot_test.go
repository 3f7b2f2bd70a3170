package vantage_test

import (
	"context"
	"testing"
	"time"

	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestSnapshot(t *testing.T) {
	var asked vantage.Requests
	with := func(c *vantage.Config) {
		asked = make(vantage.Requests) // inside the bubble, so that waiting on it lets its time pass
		c.Requests = asked
		c.Gossip = &fakeGossip{members: []gossip.Member{{Name: "lon1", State: gossip.Alive}}}
	}
	startWith(t, with, func(b *bus, n *network) {
		snapshot := func() vantage.Snapshot {
			s, err := asked.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := snapshot(); s.Name != "ams1" || len(s.Edges) > 0 {
			t.Errorf("without a catalog: %+v", s)
		}
		time.Sleep(20 * time.Second)
		before := snapshot()
		if len(before.Edges) != 2 || before.Edges[1].Host != "LON1" || before.Edges[1].Outcome != mesh.Reachable ||
			before.Edges[1].RTT != 50*time.Millisecond {
			t.Errorf("%+v", before.Edges)
		}
		if before.Region != "ams" || before.Revision == "" || len(before.Anchors) != 2 || !before.Gossips ||
			before.Peers[0].Name != "lon1" {
			t.Errorf("%+v", before)
		}
		b.connect(time.Time{})
		n.set("192.0.2.3", true)
		time.Sleep(30 * time.Second)
		after := snapshot()
		lon := after.Edges[1]
		if lon.Outcome != mesh.Unreachable || lon.Reason != "timeout" || !lon.Since.After(before.At) ||
			lon.Since.After(before.At.Add(11*time.Second)) {
			t.Errorf("%+v", lon)
		}
		if after.At.Sub(lon.Seen) > 11*time.Second || after.Spool.Batches == 0 {
			t.Errorf("%+v, %+v", lon, after.Spool)
		}
		if ams := after.Edges[0]; ams.Since.After(before.At) {
			t.Errorf("it never changed: %+v", ams)
		}
		if before.Edges[1].Outcome != mesh.Reachable {
			t.Error("a snapshot changed afterwards")
		}
	})
}

func TestSnapshotWithoutAVantageEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := make(vantage.Requests).Snapshot(ctx); err == nil {
		t.Error("there was no vantage, and no error")
	}
}
