package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
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
	}}}}.write(&out, catalog.DefaultRule())
	if strings.Count(out.String(), reason) != 2 {
		t.Error(out.String())
	}
}

// A ping that is only filtered votes ok, says why, and has no round-trip time.
func TestAFilteredPingHasNoTime(t *testing.T) {
	e := mesh.EdgeState{
		Vantage: "nc041", Vote: mesh.OK, Outcome: mesh.Unreachable,
		Why: "ping filtered: the host has since answered over TCP",
	}
	var out strings.Builder
	explainVote(&out, mesh.RegionVote{Region: "lusaka", Vote: mesh.OK, Edges: []mesh.EdgeState{e}})
	if text := out.String(); strings.Contains(text, "0s") || !strings.Contains(text, "ok, "+e.Why+"; probed") {
		t.Error(text)
	}
	if got := formatEdges([]mesh.EdgeState{e}); got != "+" {
		t.Errorf("the matrix shows %q", got)
	}
}

// The latest probe is printed once, and the rule with the numbers that the catalog sets.
func TestExplainPrintsEachProbeOnceAndTheRuleInForce(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	rule := catalog.DefaultRule()
	rule.DownShare, rule.OKShare = 0.6, 0.1
	var out strings.Builder
	explanation{At: at, HostState: mesh.HostState{Name: "NC036", Checks: []mesh.CheckState{{
		Name: "web", Verdict: mesh.Down, Rule: quorum.MostBad, Votes: []mesh.RegionVote{{Region: "lusaka", Vote: mesh.Bad,
			Edges: []mesh.EdgeState{{Vantage: "nc041", Vote: mesh.Bad, At: at, LastBad: at, LastGood: at.Add(-time.Minute)}}}},
	}}}}.write(&out, rule)
	if n := strings.Count(out.String(), "02:31:00"); n != 2 { // as of, and probed
		t.Errorf("02:31:00 is printed %d times:\n%s", n, &out)
	}
	if !strings.Contains(out.String(), "more than 60 % of all regions vote bad") ||
		!strings.Contains(out.String(), "last good 2026-03-01 02:30:00Z") {
		t.Error(out.String())
	}
}

// While the published verdict waits, five bad votes stand beside "Up": explain says what for.
func TestExplainSaysWhatAVerdictWaitsFor(t *testing.T) {
	votes := make([]mesh.RegionVote, 5)
	for i := range votes {
		votes[i].Vote = mesh.Bad
	}
	var out strings.Builder
	explanation{HostState: mesh.HostState{Name: "NC036", Checks: []mesh.CheckState{{
		Name: "web", Verdict: mesh.Up, Sentence: "Up: reachable from 7 of 7 regions.", Votes: votes,
	}}}}.write(&out, catalog.DefaultRule())
	if !strings.Contains(out.String(), "The published verdict is from before, and waits for other hosts") {
		t.Error(out.String())
	}
}

// What led to a verdict is printed below the votes of its check, and of no other.
func TestExplainPrintsTheEvidence(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	e := explanation{
		HostState: mesh.HostState{Name: "NC036", Checks: []mesh.CheckState{
			{Name: "web", Verdict: mesh.Down}, {Name: "ping", Verdict: mesh.Up},
		}},
		Evidence: []evidence{{
			Check: "web", ID: "280-nc036-1", Began: began, Published: began.Add(2 * time.Second),
			Events: []judge.Event{{At: began, Kind: judge.Decided, Text: "2 of 3 regions vote bad: down"}},
		}},
	}
	var out strings.Builder
	e.write(&out, catalog.DefaultRule())
	web, ping, _ := strings.Cut(out.String(), "\nping (")
	if !strings.Contains(web, "from the cause to the verdict (change 280-nc036-1)") ||
		!strings.Contains(web, "+0.00 s  2 of 3 regions vote bad: down") || strings.Contains(ping, "280-nc036-1") {
		t.Error(out.String())
	}
}
