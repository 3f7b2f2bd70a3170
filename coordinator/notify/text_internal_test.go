package notify

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A message names as working only what every voting region found working after the outage began.
func TestWhatStillWorksWasSeenWorking(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	vote := func(v mesh.Vote, at time.Duration) mesh.RegionVote {
		return mesh.RegionVote{Vote: v, Edges: []mesh.EdgeState{{Vote: v, At: began.Add(at)}}}
	}
	own := vote(mesh.OK, time.Second)
	own.Own = true
	up := func(votes ...mesh.RegionVote) mesh.CheckState {
		return mesh.CheckState{Name: "ping", Verdict: mesh.Up, Votes: votes}
	}
	looking, caused := up(vote(mesh.OK, time.Second)), up(vote(mesh.OK, time.Second))
	looking.RoundOpen, caused.Cause = true, "c1"
	c := &catalog.Catalog{Hosts: []catalog.Host{{Name: "NC036"}}}
	catalog.Seal(c)
	i := &incident.Incident{Began: began, Hosts: []incident.Host{{Name: "NC036"}}}
	for name, test := range map[string]struct {
		check mesh.CheckState
		want  string
	}{
		"seen since":           {up(vote(mesh.OK, time.Second), vote(mesh.Abstain, 0)), "ping"},
		"seen before":          {up(vote(mesh.OK, -time.Second)), ""},
		"one region before":    {up(vote(mesh.OK, time.Second), vote(mesh.OK, -time.Second)), ""},
		"one region sees none": {up(vote(mesh.OK, time.Second), vote(mesh.Bad, time.Second)), ""},
		"by its own region":    {up(own), ""},
		"nobody voted":         {up(), ""},
		"a round is open":      {looking, ""},
		"a cause fails":        {caused, ""},
	} {
		s := &mesh.Snapshot{Hosts: []mesh.HostState{{Name: "NC036", Checks: []mesh.CheckState{test.check}}}}
		if got := works(c, s, i); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
