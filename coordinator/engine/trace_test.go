package engine

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The way to unknown begins with the oldest result that counted: with checks of a minute that is over two minutes ago.
// Any other way begins with the cause.
func TestTheWayToUnknownIsTracedFromTheOldestResult(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	edge := func(before time.Duration) []mesh.EdgeState { return []mesh.EdgeState{{At: began.Add(-before)}, {}} }
	tr := mesh.Transition{Verdict: mesh.Unknown, Began: began, Votes: []mesh.RegionVote{
		{Edges: edge(30 * time.Second)}, {Edges: edge(130 * time.Second)}, {Edges: edge(time.Hour), Own: true},
	}}
	if got := began.Sub(tracedSince(tr)); got != 130*time.Second {
		t.Errorf("unknown: %s before", got)
	}
	tr.Verdict = mesh.Down
	if got := tracedSince(tr); !got.Equal(began) {
		t.Errorf("down: %s", got)
	}
}
