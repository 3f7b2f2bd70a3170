package sentence_test

import (
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// Beside "Up: reachable from 7 of 7 regions." and five bad votes, the page says what the verdict waits for.
func TestWaitingSaysWhyTheVotesDiffer(t *testing.T) {
	bad := func(n int) (out []mesh.RegionVote) {
		for i := range 8 {
			v := mesh.RegionVote{Own: i == 0, Vote: mesh.OK}
			if i <= n {
				v.Vote = mesh.Bad
			}
			out = append(out, v)
		}
		return out
	}
	for name, test := range map[string]struct {
		state mesh.CheckState
		want  string
	}{
		"held back":    {mesh.CheckState{Verdict: mesh.Up, Votes: bad(5)}, "5 regions vote bad"},
		"until when":   {mesh.CheckState{Verdict: mesh.Up, Votes: bad(5)}, "at most 2s (cut_hold)"},
		"a round":      {mesh.CheckState{Verdict: mesh.Up, Votes: bad(5), RoundOpen: true}, "the round that is open"},
		"one region":   {mesh.CheckState{Verdict: mesh.Up, Votes: bad(1)}, ""},
		"down":         {mesh.CheckState{Verdict: mesh.Down, Votes: bad(5)}, ""},
		"was never up": {mesh.CheckState{Verdict: mesh.Pending, Votes: bad(7)}, ""},
	} {
		got := sentence.Waiting(catalog.DefaultRule(), nil, test.state)
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
