package console

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A page of a pair without a result that counts says why there is none.
func TestAPairWithoutAResultSaysWhy(t *testing.T) {
	seen := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	for want, vantage := range map[string]mesh.VantageState{
		"counts: its agent never connected.":                    {},
		"counts: its agent is silent since 1 Mar 02:31:00 UTC.": {LastBatch: seen, Silent: true},
		"counts: isolated.":                                     {LastBatch: seen, Abstains: "isolated"},
		"counts: inconclusive: nothing to compare with.":        {LastBatch: seen},
	} {
		w := newWorld()
		c := &w.snapshot.Hosts[1].Checks[0]
		for i := range c.Votes {
			c.Votes[i].Edges[0].Vote, c.Votes[i].Edges[0].Why = mesh.Abstain, "inconclusive: nothing to compare with"
		}
		vantage.Name, vantage.Region = "AMS1", "amsterdam"
		r := request{catalog: w.catalog, snapshot: w.snapshot}
		if got := r.pairSentences(&vantage, &w.snapshot.Hosts[1], c)[0]; !strings.HasSuffix(got, want) {
			t.Errorf("%q, wanted %q", got, want)
		}
	}
}

// An item of a check that is unknown gives the reason of most vantages, and none if they do not agree.
func TestAnUnknownCheckSaysWhy(t *testing.T) {
	w := newWorld()
	h := &w.snapshot.Hosts[1]
	c := &h.Checks[0]
	c.Verdict, c.Sentence = mesh.Unknown, "Unknown: too few results to decide."
	r := request{catalog: w.catalog, snapshot: w.snapshot}
	detail := func() string { return r.hostItems(h, nil)[0].Detail }
	if got := detail(); got != c.Sentence {
		t.Errorf("without a reason: %q", got)
	}
	const said = " Most say: nothing to compare with."
	for i, want := range []string{"", "", "", said, said} {
		c.Votes[i].Edges[0].Vote, c.Votes[i].Edges[0].Why = mesh.Abstain, "inconclusive: nothing to compare with"
		if got := detail(); got != c.Sentence+want {
			t.Errorf("%d: %q, wanted %q", i+1, got, want)
		}
	}
}
