package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestExplainShowsWhatAgentsReported word for word, of a check that is up too.
func TestExplainShowsWhatAgentsReported(t *testing.T) {
	const reason = "redirects to https://elsewhere.example/sign-in (status 302), wanted 200"
	var out strings.Builder
	explanation{At: time.Now(), HostState: mesh.HostState{Name: "NC036", Checks: []mesh.CheckState{{
		Name: "web", Verdict: mesh.Up, Sentence: "Up: reachable from 6 of 7 regions.",
		Advisories: []string{"path from Lusaka: '" + reason + "'"},
		Votes: []mesh.RegionVote{{Region: "lusaka", Vote: mesh.Bad,
			Edges: []mesh.EdgeState{{Vantage: "nc041", Vote: mesh.Bad, Reason: reason}}}},
	}}}}.write(&out)
	if strings.Count(out.String(), reason) != 2 {
		t.Error(out.String())
	}
}
