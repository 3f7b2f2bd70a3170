package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// A refused connection is an answer: the step says what failed.
func TestAFirstMissSaysWhatFailed(t *testing.T) {
	o := mesh.Observation{Stage: mesh.Missed, Outcome: mesh.Unreachable, Reason: "connection refused"}
	if got := describeProbe(o); !strings.HasSuffix(got, "the first probe failed: connection refused; it probes again") {
		t.Error(got)
	}
	o.Reason = ""
	if got := describeProbe(o); !strings.HasSuffix(got, "no answer to the first probe yet; it probes again") {
		t.Error(got)
	}
}

// While a round is open and nothing is counted yet, the count that is shown is the last one, and not one of the votes
// that abstain for now.
func TestARoundOpensBeforeItsCount(t *testing.T) {
	was := moment{CheckState: mesh.CheckState{
		Verdict: mesh.Up, Rule: "a rule", Tally: mesh.Tally{Regions: 8, Voters: 7, OK: 7},
		Votes: []mesh.RegionVote{{Region: "london", Vote: mesh.OK}, {Region: "lusaka", Own: true, Vote: mesh.OK}},
	}}
	opened := was
	opened.round, opened.opened, opened.RoundOpen = 7, 7, true
	opened.Votes = []mesh.RegionVote{{Region: "london", Why: AskedAgain}, {Region: "lusaka", Own: true, Why: AskedAgain}}
	counted := opened
	counted.opened, counted.Tally.OK, counted.Tally.Bad = 0, 6, 1
	tracer := Tracer{judge: New(Start{})}
	tracer.compare(Input{}, was, opened)
	tracer.compare(Input{}, opened, counted)
	expectSteps(t, tracer.Events(),
		"round 7 opens: every other region is asked to probe now",
		"london: abstain, asked to probe again, no answer yet",
		"lusaka (the host's own region, which never votes): abstain, asked to probe again, no answer yet",
		"it stays up while the round is open; the last count was 0 of 8 regions bad, 7 ok",
		"1 of 8 regions votes bad, 6 ok: it stays up; round 7 is open",
	)
}

func expectSteps(t *testing.T, events []Event, want ...string) {
	t.Helper()
	for i := range max(len(events), len(want)) {
		got, wanted := "", ""
		if i < len(events) {
			got = events[i].Text
		}
		if i < len(want) {
			wanted = want[i]
		}
		if got != wanted {
			t.Errorf("step %d:\n got %s\nwant %s", i+1, got, wanted)
		}
	}
}

// A judge counts first, and opens rounds last: the votes that the count is made of come before it, and those that the
// new round sets aside after it. What closes, what counts next and what a verdict did not wait for is said.
func TestStepsAreInTheOrderInWhichTheJudgeTakesThem(t *testing.T) {
	const ok, bad = mesh.OK, mesh.Bad
	state := func(verdict mesh.Verdict, nOK, nBad int, round, opened uint64, votes ...mesh.Vote) moment {
		m := moment{round: round, opened: opened, CheckState: mesh.CheckState{
			Verdict: verdict, Tally: mesh.Tally{Regions: 5, OK: nOK, Bad: nBad}, RoundOpen: round != 0,
		}}
		for i, vote := range votes {
			v := mesh.RegionVote{Region: []string{"london", "toronto", "new-york"}[i], Vote: vote}
			if vote == mesh.Abstain {
				v.Why = AskedAgain
			}
			m.Votes = append(m.Votes, v)
		}
		return m
	}
	const wait = mesh.Abstain
	for name, test := range map[string]struct {
		was, now moment
		want     []string
	}{
		"a round opens after the count": {
			state(mesh.Up, 2, 1, 0, 0, ok, ok, bad), state(mesh.Up, 1, 2, 7, 7, bad, wait, bad), []string{
				"london: bad", "2 of 5 regions vote bad, 1 ok: it stays up", "round 7 opens: every other region is asked " +
					"to probe now", "Toronto: abstain, asked to probe again, no answer yet",
			},
		},
		"the next round follows": {
			state(mesh.Up, 2, 0, 7, 0, ok, ok, wait), state(mesh.Up, 3, 0, 9, 0, ok, wait, ok), []string{
				"New York: ok", "0 of 5 regions vote bad, 3 ok: it stays up; round 7 closes, and round 9, which opened " +
					"meanwhile, counts from now on", "Toronto: abstain, asked to probe again, no answer yet",
			},
		},
		"it opens meanwhile": {
			state(mesh.Up, 2, 0, 7, 0, ok, ok, wait), state(mesh.Up, 2, 0, 7, 9, ok, ok, wait), []string{
				"round 9 opens: every other region is asked to probe now; round 7 closes first",
			},
		},
		"before the last answer": {
			state(mesh.Up, 3, 0, 7, 0, wait, wait, wait), state(mesh.Down, 0, 2, 7, 0, bad, bad, wait), []string{
				"london, Toronto: bad", "2 of 5 regions vote bad, 0 ok: down, published: up becomes down; what round 7 " +
					"still waits for cannot change that: New York",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tracer := Tracer{judge: New(Start{Catalog: &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{
				{Name: "london"}, {Name: "toronto", City: "Toronto"}, {Name: "new-york", City: "New York"},
			}}})}
			tracer.compare(Input{}, test.was, test.now)
			expectSteps(t, tracer.Events(), test.want...)
		})
	}
}

// What was counted of one region, and what several regions do at once, agrees with its number.
func TestStepsAgreeWithTheirNumbers(t *testing.T) {
	var was, now moment
	was.Verdict, now.Verdict = mesh.Up, mesh.Up
	was.round, now.round, now.opened = 7, 7, 9
	was.Tally, now.Tally = mesh.Tally{Regions: 1, OK: 1}, mesh.Tally{Regions: 1}
	now.Votes = []mesh.RegionVote{{Region: "london", Why: AskedAgain}, {Region: "lusaka", Why: AskedAgain}}
	tracer := Tracer{judge: New(Start{})}
	tracer.compare(Input{}, was, now)
	expectSteps(t, tracer.Events(),
		"0 of 1 region votes bad, 0 ok: it stays up; round 7 is open",
		"round 9 opens: every other region is asked to probe now; round 7 closes first",
		"london, lusaka: abstain, asked to probe again, no answer yet",
	)
}

// A region that the catalog leaves out from now on is named before a smaller number of regions is counted, and one that
// votes ok on a ping that was lost says why.
func TestStepsSayWhyARegionIsGoneOrVotesOK(t *testing.T) {
	vote := func(region string, edges ...mesh.EdgeState) mesh.RegionVote {
		return mesh.RegionVote{Region: region, Vote: mesh.OK, Edges: edges}
	}
	was := moment{CheckState: mesh.CheckState{Verdict: mesh.Up, Tally: mesh.Tally{Regions: 4}, Votes: []mesh.RegionVote{
		vote("london"), vote("lusaka"), {Region: "sydney", Vote: mesh.Bad},
	}}}
	now := was
	now.Tally.Regions = 3
	now.Votes = []mesh.RegionVote{vote("london"), vote("sydney", mesh.EdgeState{Vote: mesh.OK, Why: filteredWhy})}
	tracer := Tracer{judge: New(Start{})}
	tracer.compare(Input{}, was, now)
	expectSteps(t, tracer.Events(),
		"sydney: ok, "+filteredWhy,
		"lusaka: no vote any more, since the catalog leaves it out",
		"0 of 3 regions vote bad, 0 ok: it stays up",
	)
}

// What is slow says why: only that explains degraded.
func TestASlowProbeSaysWhy(t *testing.T) {
	o := mesh.Observation{Outcome: mesh.Slow, RTT: 128 * time.Millisecond, Reason: mesh.ReasonTemporary + `answered "450"`}
	if got := describeProbe(o); !strings.HasSuffix(got, ": slow, 128 ms: "+o.Reason) {
		t.Error(got)
	}
}

// The first miss of a probe and its result are two messages, and the estimate of the agent's clock may change between
// them: they still show one beginning. The next probe shows its own.
func TestAMissAndItsResultShowOneBeginning(t *testing.T) {
	tracer := Tracer{missed: map[edgeName]time.Time{}}
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	for i, test := range []struct {
		began, want time.Duration
		stage       mesh.Stage
	}{
		{0, 0, mesh.Missed}, {20 * time.Millisecond, 0, mesh.Settled},
		{100 * time.Millisecond, 100 * time.Millisecond, mesh.Settled},
		{time.Second, time.Second, mesh.Missed}, {3 * time.Second, 3 * time.Second, mesh.Settled},
	} {
		o := mesh.Observation{Began: at.Add(test.began + time.Minute), Stage: test.stage}
		if got := tracer.wallBegan(edgeName{vantage: "lon1"}, o, time.Minute); !got.Equal(at.Add(test.want)) {
			t.Errorf("%d: %s", i, got.Sub(at))
		}
	}
}

// No probe made a check unknown: the steps begin with the first vote that was lost after votes last showed a verdict.
func TestTheStepsToUnknownBeginWithTheVotesThatWereLost(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	event := func(before time.Duration, kind EventKind, verdict mesh.Verdict, rule string) Event {
		return Event{At: began.Add(-before), Kind: kind, Verdict: verdict, Rule: rule}
	}
	events := []Event{
		event(90*time.Second, VoteChanged, "", ""),
		event(80*time.Second, Decided, mesh.Up, quorum.MostOK),
		event(60*time.Second, Observed, "", ""),
		event(50*time.Second, VoteChanged, "", ""),
		event(40*time.Second, Decided, mesh.Up, quorum.VerdictStands),
		event(0, Decided, mesh.Unknown, quorum.NothingFresh),
		event(0, RoundOpened, "", ""),
	}
	if got := began.Sub(StepsBegin(began, events)); got != 50*time.Second {
		t.Errorf("unknown: %s before it", got)
	}
	events[5].Verdict = mesh.Down
	if got := began.Sub(StepsBegin(began, events)); got != causeLead {
		t.Errorf("down: %s before its cause", got)
	}
}
