package main

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// someNeeds are the cells of the table that the tests compute, with the same search as the whole table.
var someNeeds = sync.OnceValue(func() map[int]meshNeeds {
	e := fullSearch
	e.seed = 1
	return liarNeeds([]int{3, 5, 8}, e)
})

// With eight regions, no single agent can have anything false published or hide an outage.
func TestEightRegionsBearALiar(t *testing.T) {
	n := someNeeds()[8]
	for g := range goals {
		for _, is := range []need{n.constant[g], n.alternating[g]} {
			if is.liars == 1 {
				t.Errorf("one liar of eight regions reaches %q: %s", goals[g].name, is.strategy)
			}
		}
	}
}

// If one goal includes another, it needs at least as many liars; and so does a larger mesh.
func TestLiarsNeededAreMonotone(t *testing.T) {
	infinite := func(n need) int {
		if n.liars == 0 {
			return 1 << 20
		}
		return n.liars
	}
	needs := someNeeds()
	for size, n := range needs {
		for _, kind := range [][5]need{n.constant, n.alternating} {
			for _, pair := range [][2]int{{1, 0}, {2, 3}, {3, 4}} {
				if infinite(kind[pair[0]]) > infinite(kind[pair[1]]) {
					t.Errorf("%d regions: %q needs more liars than %q", size, goals[pair[0]].name, goals[pair[1]].name)
				}
			}
		}
	}
	for _, pair := range [][2]int{{3, 5}, {5, 8}} {
		for g := range goals {
			small, large := needs[pair[0]].constant[g], needs[pair[1]].constant[g]
			if infinite(small) > infinite(large) {
				t.Errorf("%q: %d regions need %s liars, and %d need %s", goals[g].name, pair[0], small, pair[1], large)
			}
		}
	}
}

// The table in the documentation has the rows that the search gives now.
func TestLiarTableIsCurrent(t *testing.T) {
	const file = "../docs/rule.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := marks("liars")
	_, rest, found := strings.Cut(string(data), begin)
	table, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no marks %q and %q", file, begin, end)
	}
	for _, n := range someNeeds() {
		if row := liarRow(n); !strings.Contains(table, row) {
			t.Errorf("%s is stale: no row %q; go run ./deploy/simulation -liars -write deploy/docs/rule.md", file, row)
		}
	}
}
