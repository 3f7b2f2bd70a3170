package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 2, 2, 40, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"02:31":                time.Date(2026, 3, 2, 2, 31, 0, 0, time.UTC),
		"02:41":                time.Date(2026, 3, 1, 2, 41, 0, 0, time.UTC),
		"23:59:58":             time.Date(2026, 3, 1, 23, 59, 58, 0, time.UTC),
		"10m":                  now.Add(-10 * time.Minute),
		"2026-03-01T01:00:00Z": time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v (%v), wanted %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-10m", "25:00", "2026-03-01"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
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
