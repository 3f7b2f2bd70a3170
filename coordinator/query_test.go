package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A host in an outage is marked, with the incident that people write about.
func TestStatusMarksHostsInAnOutage(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	s := admin.State{Snapshot: &mesh.Snapshot{At: at, Hosts: []mesh.HostState{
		{Name: "NC036", Status: mesh.MajorOutage, Since: at}, {Name: "NC037", Status: mesh.PartialOutage, Since: at},
		{Name: "NC041", Status: mesh.Operational}, {Name: "NC042", Status: mesh.StatusUnknown},
	}}}
	answer := statusAnswer{Hosts: s.Snapshot.Hosts, Problems: []string{"lon1 is silent"}, Incidents: []editorial.Incident{
		{ID: "x7k2m4", Title: "Mail is late", Hosts: []string{"NC041", "NC036"}},
	}}
	var out strings.Builder
	if err := writeStatus(&out, s, answer); err != nil {
		t.Fatal(err)
	}
	const want = "! lon1 is silent\n" +
		"! NC036: major outage since 2026-03-01 02:31:00Z, incident x7k2m4 (Mail is late)\n" +
		"! NC037: partial outage since 2026-03-01 02:31:00Z, no incident is open\nHOST "
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("status prints\n%s", out.String())
	}
}

// TestExplainVoteByFamily: operators see which address of a name answered or failed, and which family does not count.
func TestExplainVoteByFamily(t *testing.T) {
	vote := mesh.RegionVote{Region: "lon", Vote: mesh.OK, Edges: []mesh.EdgeState{
		{Vantage: "lon1", Family: mesh.IPv4, Outcome: mesh.Reachable, Vote: mesh.OK, RTT: 12 * time.Millisecond,
			Address: "192.0.2.4"},
		{Vantage: "lon1", Family: mesh.IPv6, LeftOut: true,
			Why: "left out, since another family has a vote: no local route"},
		{Vantage: "lon2", Family: mesh.IPv4, Outcome: mesh.Unreachable, Vote: mesh.Bad, Reason: "timeout",
			Address: "192.0.2.3: timeout"},
	}}
	var out strings.Builder
	explainVote(&out, vote)
	for _, want := range []string{
		"lon1 by ipv4: ok, 12.0 ms, by 192.0.2.4;",
		"lon1 by ipv6: abstain, left out, since another family has a vote: no local route;",
		"lon2 by ipv4: bad, timeout, tried 192.0.2.3: timeout;",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if got := formatEdges(vote.Edges[:2]); got != voteSymbols[mesh.OK]+"12" {
		t.Errorf("the matrix has %q", got)
	}
}
