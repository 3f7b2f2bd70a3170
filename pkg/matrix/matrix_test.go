package matrix_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/matrix"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// hosts is one host in Amsterdam with two checks. London reaches the first over IPv4 and not over IPv6.
func hosts() []mesh.HostState {
	return []mesh.HostState{{Name: "NC1", Region: "ams", Checks: []mesh.CheckState{
		{Name: "ping", Votes: []mesh.RegionVote{
			{Region: "ams", Own: true, Vote: mesh.OK},
			{Region: "lon", Vote: mesh.Bad, Edges: []mesh.EdgeState{
				{Vantage: "nc2", Family: mesh.IPv4, Vote: mesh.OK}, {Vantage: "nc2", Family: mesh.IPv6, Vote: mesh.Bad},
			}},
		}},
		{Name: "web"},
	}}}
}

func TestByRegion(t *testing.T) {
	m := matrix.ByRegion(hosts(), []string{"lon", "ams", "syd"})
	if len(m.Rows) != 2 || m.Rows[0].Check.Name != "ping" || m.Rows[1].Check.Name != "web" {
		t.Fatalf("rows: %+v", m.Rows)
	}
	if c := m.Rows[0].Cells[0]; !c.Counted || c.Vote.Vote != mesh.Bad {
		t.Errorf("the vote of lon: %+v", c)
	}
	for _, row := range m.Rows {
		for i, c := range row.Cells[1:] {
			if c.Counted {
				t.Errorf("%s: a vote of %s, which has none", row.Check.Name, m.Columns[i+1])
			}
		}
	}
}

func TestByVantage(t *testing.T) {
	m := matrix.ByVantage(hosts(), []mesh.VantageState{{Name: "NC1"}, {Name: "NC2"}})
	if diff := cmp.Diff([]string{"NC1", "NC2"}, m.Columns); diff != "" {
		t.Error(diff)
	}
	var got [][]int
	for _, row := range m.Rows {
		var counts []int
		for _, edges := range row.Cells {
			counts = append(counts, len(edges))
		}
		got = append(got, counts)
	}
	if diff := cmp.Diff([][]int{{0, 2}, {0, 0}}, got); diff != "" {
		t.Errorf("edges by check and vantage (-want +got):\n%s", diff)
	}
}

// Hosts and the vantages on them have one order, that of the catalog. What it does not have comes last.
func TestPositions(t *testing.T) {
	c := &catalog.Catalog{
		Regions: []catalog.Region{{Name: "nyc"}, {Name: "ams"}},
		Hosts: []catalog.Host{
			{Name: "NC036", Region: "ams"}, {Name: "NC041", Region: "nyc"}, {Name: "NC031", Region: "nyc"},
		},
	}
	position := matrix.Positions(c)
	type place struct{ region, host string }
	places := []place{{"lon", "NC1"}, {"ams", "NC036"}, {"nyc", "NC9"}, {"nyc", "nc031"}, {"nyc", "NC041"}}
	slices.SortStableFunc(places, func(a, b place) int {
		return position(a.region, a.host) - position(b.region, b.host)
	})
	want := []place{{"nyc", "NC041"}, {"nyc", "nc031"}, {"nyc", "NC9"}, {"ams", "NC036"}, {"lon", "NC1"}}
	if diff := cmp.Diff(want, places, cmp.AllowUnexported(place{})); diff != "" {
		t.Error(diff)
	}
}
