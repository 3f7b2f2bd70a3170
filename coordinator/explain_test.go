package main

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
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
	explanation{At: at, HostState: mesh.HostState{Name: "NC036", Status: mesh.MajorOutage, Checks: []mesh.CheckState{{
		Name: "web", Verdict: mesh.Down, Rule: quorum.MostBad, Votes: []mesh.RegionVote{{Region: "lusaka", Vote: mesh.Bad,
			Edges: []mesh.EdgeState{{Vantage: "nc041", Vote: mesh.Bad, At: at, LastBad: at, LastGood: at.Add(-time.Minute)}}}},
	}}}}.write(&out, rule)
	if n := strings.Count(out.String(), "02:31:00"); n != 2 { // as of, and probed
		t.Errorf("02:31:00 is printed %d times:\n%s", n, &out)
	}
	if !strings.Contains(out.String(), "more than 60 % of all regions vote bad") ||
		!strings.Contains(out.String(), ": major outage since") ||
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

// The explanation fits a terminal of 80 columns, and names cities and hosts as pages do.
func TestExplainFitsTheTerminal(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	c := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "new-york", City: "New York"}},
		Hosts: []catalog.Host{{Name: "NC031", Region: "new-york"}}}
	const reason = "zone not in step: serial 2026010101 at 192.0.2.35, and 2026010102 at 198.51.100.33:20053"
	probed := judge.Event{
		At: at, Kind: judge.Observed, Region: "new-york", Vantage: "nc031", Probe: &judge.Probe{Began: at},
		Text: "NC031 probed at 02:31:00.000 for round 1111: unreachable after 2 probes in 362 ms: " + reason,
	}
	e := explanation{catalog: c, At: at, HostState: mesh.HostState{Name: "NC031", Region: "new-york",
		Checks: []mesh.CheckState{{
			Name: "zone", Verdict: mesh.Down, Tally: mesh.Tally{Regions: 8, Voters: 7, OK: 1, Bad: 6}, Rule: quorum.MostBad,
			Votes: []mesh.RegionVote{
				{Region: "new-york", Vote: mesh.Bad, Edges: []mesh.EdgeState{{
					Vantage: "nc031", Vote: mesh.Bad, Outcome: mesh.Unreachable, Reason: reason, At: at.Add(time.Second),
					LastBad: at,
				}}},
				{Region: "lon", Vote: mesh.Abstain},
			},
		}}},
		Evidence: []evidence{{Check: "zone", Began: at, Published: at, catalog: c, Events: []judge.Event{probed}}},
	}
	var out strings.Builder
	e.write(&out, c.Rule)
	text := wrap(out.String(), 80)
	for line := range strings.Lines(text) {
		if n := len(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"NC031 in New York:",
		"\n  votes: 6 bad and 1 ok of 8 regions, of which 7 can vote; ",
		"\n  New York votes bad\n", "\n  lon abstains\n", "\n    NC031 by", "    New York NC031 ",
		"\n       +0.00 s  NC031 probed at 02:31:00.000 for round 1111: unreachable after 2\n" +
			"                probes in 362 ms: zone not in step: serial 2026010101 at\n" +
			"                192.0.2.35, and 2026010102 at 198.51.100.33:20053\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if wrap(out.String(), command.Unlimited) != out.String() {
		t.Error("lines in a pipe are broken")
	}
	if strings.Count(text, "02:31:01Z") != 1 || strings.Contains(text, "last bad") {
		t.Errorf("the latest probe is there twice:\n%s", text)
	}
}

// A word that is longer than a line stays whole, and other lines are broken where they fit.
func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 30)
	for text, want := range map[string]string{
		"short\n":                        "short\n",
		"  one two three four five\n":    "  one two three four\n    five\n",
		"  see " + long + " now\n":       "  see\n    " + long + "\n    now\n",
		long + "\n":                      long + "\n",
		"at the time 2026-03-01 02:31\n": "at the time\n  2026-03-01 02:31\n",
		"it answers only after 12 ms\n":  "it answers only after\n  12 ms\n",
		"é é é é é é é é é é\nnext\n":    "é é é é é é é é é é\nnext\n",
		"     +0.50 s  a b c d e f g\n":  "     +0.50 s  a b c d\n              e f g\n",
	} {
		if got := wrap(text, 21); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
