package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

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
		"lon1 by ipv4: ok, 12ms, by 192.0.2.4;",
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
