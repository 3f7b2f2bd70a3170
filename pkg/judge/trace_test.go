package judge

import (
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
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
	was := mesh.CheckState{
		Verdict: mesh.Up, Rule: "a rule", Tally: mesh.Tally{Regions: 8, Voters: 7, OK: 7},
		Votes: []mesh.RegionVote{{Region: "london", Vote: mesh.OK}},
	}
	now := was
	now.RoundOpen, now.Votes = true, []mesh.RegionVote{{Region: "london", Why: "asked to probe again"}}
	var tracer Tracer
	tracer.compare(Input{}, was, now)
	counted := now
	counted.Tally.OK, counted.Tally.Bad = 6, 1
	tracer.compare(Input{}, now, counted)
	want := []string{
		"london: abstain, asked to probe again",
		"up stands while the round is open; the last count was 0 of 8 regions bad, 7 ok",
		"1 of 8 regions vote bad, 6 ok: up, the round is open",
	}
	for i, e := range tracer.Events() {
		if i >= len(want) || e.Text != want[i] {
			t.Errorf("step %d: %q", i, e.Text)
		}
	}
}
