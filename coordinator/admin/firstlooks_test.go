package admin

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A region whose probes were inconclusive has probed the check, and the reason is the most frequent one.
func TestAFirstLookCountsWhatWasProbed(t *testing.T) {
	vote := func(v mesh.Vote, why string, outcome mesh.Outcome, at time.Time) mesh.RegionVote {
		return mesh.RegionVote{Vote: v, Why: why, Edges: []mesh.EdgeState{{Vote: v, Outcome: outcome, At: at}}}
	}
	now := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	own := vote(mesh.Bad, "of its own", mesh.Unreachable, now)
	own.Own = true
	c := &mesh.CheckState{Name: "smtp", Tally: mesh.Tally{Voters: 7, OK: 1, Bad: 3}, Votes: []mesh.RegionVote{
		own, vote(mesh.OK, "", mesh.Reachable, now), vote(mesh.Bad, "timeout", mesh.Unreachable, now),
		vote(mesh.Bad, "does not speak TLS", mesh.Unreachable, now),
		vote(mesh.Bad, "does not speak TLS", mesh.Unreachable, now),
		vote(mesh.Abstain, "inconclusive: no local route", mesh.Inconclusive, now),
		vote(mesh.Abstain, "inconclusive: no local route", mesh.Inconclusive, now),
		vote(mesh.Abstain, "not probed yet", mesh.Inconclusive, time.Time{}),
	}}
	want := FirstLook{
		Host: "NC036", Check: "smtp", Port: 25, Voters: 7, OK: 1,
		Bad:          Sightings{Regions: 3, Why: "does not speak TLS", Same: 2},
		Inconclusive: Sightings{Regions: 2, Why: "no local route", Same: 2},
	}
	if got := newFirstLook("NC036", 25, c); got != want || got.Missing() != 1 {
		t.Errorf("%+v, missing %d; want %+v", got, got.Missing(), want)
	}
}
