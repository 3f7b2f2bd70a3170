package demo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestPanelShowsNoTextOfAgents: the panel is public, and what a server answered an agent may be secret.
func TestPanelShowsNoTextOfAgents(t *testing.T) {
	c := &catalog.Catalog{Regions: []catalog.Region{{Name: "lus", City: "Lusaka"}}}
	check := mesh.CheckState{Name: "web", Advisories: []string{"SECRET"}, Votes: []mesh.RegionVote{{
		Region: "lus", Vote: mesh.Bad, Why: "redirects to https://x/?key=SECRET", Edges: []mesh.EdgeState{
			{Vote: mesh.Bad, Reason: "redirects to https://x/?key=SECRET (status 302), wanted 200"},
		},
	}}}
	for verdict, want := range map[mesh.Verdict]string{
		mesh.Up: "", mesh.Unknown: "", mesh.Degraded: "", mesh.Pending: "",
		mesh.Partial: "it redirected to another address", mesh.Down: "it redirected to another address",
	} {
		check.Verdict = verdict
		f := newCheckView(c, mesh.HostState{Name: "NC1"}, check)
		if f.Votes[0].Why != want || strings.Contains(fmt.Sprint(f), "SECRET") {
			t.Errorf("%s: %+v", verdict, f)
		}
	}
}
