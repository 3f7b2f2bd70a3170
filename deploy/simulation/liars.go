package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// goal is what liars try to have published.
type goal struct {
	name    string
	gone    bool // the goal needs a target that is gone, otherwise one that works
	reached func(outcomeOfLies) bool
}

// goals of liars. They are not exclusive: a host shown as operational during an outage is also not shown as worse than
// partial.
var goals = []goal{
	{"false down", false, func(o outcomeOfLies) bool { return o.down }},
	{"false partial", false, func(o outcomeOfLies) bool { return o.partial }},
	{"outage as partial", true, func(o outcomeOfLies) bool { return badness[o.worst] <= badness[mesh.PartialOutage] }},
	{"outage as unknown", true, func(o outcomeOfLies) bool { return badness[o.worst] <= badness[mesh.StatusUnknown] }},
	{"outage as operational", true, func(o outcomeOfLies) bool {
		return badness[o.worst] <= badness[mesh.Operational]
	}},
}

// need is the smallest number of liars that reached a goal, and the first strategy that did.
type need struct {
	liars    int // 0: even all voting regions together do not reach it
	strategy string
}

// String returns the number of liars, or a dash where the goal was not reached.
func (n need) String() string {
	if n.liars == 0 {
		return "–"
	}
	return fmt.Sprint(n.liars)
}

// meshNeeds are the needs of one mesh by goal, of constant and of alternating liars.
type meshNeeds struct {
	regions               int
	constant, alternating [5]need
	histories             int
}

// search sets how many strategies and placements are tried.
type search struct {
	seed    uint64
	sampled int // random strategies for each number of liars
	places  int // placements of the liars among the regions
}

var (
	fullSearch  = search{sampled: 20, places: 1}
	quickSearch = search{sampled: 2, places: 1}
)

// needsOf tries every strategy with one liar, then with two, until each goal is reached or all voting regions lie.
func needsOf(regions int, e search) meshNeeds {
	out := meshNeeds{regions: regions}
	for _, kinds := range [][]string{pingAndTCP, pingOnly} {
		m := newLiarMesh(regions, kinds)
		for liars := 1; liars < regions; liars++ {
			all := strategies(liars, e.sampled, e.seed)
			if &kinds[0] == &pingOnly[0] {
				all = gossiping(all) // a second ping differs from a TCP check only in what gossip proves
			}
			for _, s := range all {
				out.try(m, s, liars, e)
			}
		}
	}
	return out
}

// gossiping returns the strategies that use gossip acknowledgements.
func gossiping(all []*strategy) (out []*strategy) {
	for _, s := range all {
		if s.forgesAcks || s.acks {
			out = append(out, s)
		}
	}
	return out
}

// open reports whether reaching the goal with this many liars would be the first or a better result.
func (n *meshNeeds) open(g, liars int, alternates bool) bool {
	is := n.of(alternates)[g]
	return is.liars == 0 || liars < is.liars
}

func (n *meshNeeds) of(alternates bool) *[5]need {
	if alternates {
		return &n.alternating
	}
	return &n.constant
}

// try plays those of the strategy's histories whose goals are not yet reached with so few liars.
func (n *meshNeeds) try(m *liarMesh, s *strategy, liars int, e search) {
	for place := range e.places {
		for _, gone := range []bool{false, true} {
			wanted := false
			for g := range goals {
				wanted = wanted || goals[g].gone == gone && n.open(g, liars, s.alternates)
			}
			if !wanted {
				continue
			}
			n.histories++
			seen := newLiarWorld(m, s, placed(m.regions, liars, place, s.own), gone, e.seed).run()
			for g := range goals {
				if goals[g].gone == gone && n.open(g, liars, s.alternates) && goals[g].reached(seen) {
					n.of(s.alternates)[g] = need{liars, s.name}
				}
			}
		}
	}
}

// placed returns the agents that lie: those of the last regions, or of the first ones after the target's, and the
// target's own if own is set. Regions differ only in their phase of the schedule.
func placed(regions, liars, place int, own bool) []int {
	var out []int
	if own {
		liars--
	}
	for i := range liars {
		if place == 0 {
			out = append(out, regions-1-i)
		} else {
			out = append(out, 1+i)
		}
	}
	if own {
		out = append(out, 0)
	}
	return out
}

// Sizes of the meshes in the table. With fewer regions the rule publishes no verdict.
const (
	fewestRegions = 3
	mostRegions   = 12
)

// liarNeeds computes the needs of meshes of these sizes on all cores. It begins with the largest, which take longest.
func liarNeeds(sizes []int, e search) map[int]meshNeeds {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[int]meshNeeds{}
	work := make(chan int, len(sizes))
	for i := range sizes {
		work <- sizes[len(sizes)-1-i]
	}
	close(work)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := range work {
				needs := needsOf(n, e)
				mu.Lock()
				out[n] = needs
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return out
}

// liarTable prints the table of all sizes, or writes it into the file. Statistics and strategies go to standard error.
func liarTable(seed uint64, quick bool, write string) error {
	e := fullSearch
	if quick {
		e = quickSearch
	}
	e.seed = seed
	var sizes []int
	for n := fewestRegions; n <= mostRegions; n++ {
		sizes = append(sizes, n)
	}
	started := time.Now()
	needs := liarNeeds(sizes, e)
	var out strings.Builder
	out.WriteString(liarHeader)
	histories := 0
	for _, n := range sizes {
		out.WriteString(liarRow(needs[n]))
		histories += needs[n].histories
	}
	fmt.Fprintf(os.Stderr, "%d histories in %.0f s; %d to %d strategies for each number of liars\n", histories,
		time.Since(started).Seconds(), len(strategies(1, e.sampled, seed)),
		len(strategies(mostRegions-1, e.sampled, seed)))
	for _, n := range sizes {
		for g := range goals {
			fmt.Fprintf(os.Stderr, "%d regions, %s: constant %s: %s; alternating %s: %s\n", n, goals[g].name,
				needs[n].constant[g], needs[n].constant[g].strategy,
				needs[n].alternating[g], needs[n].alternating[g].strategy)
		}
	}
	return output(write, "liars", out.String())
}

// liarHeader explains the columns.
const liarHeader = "Each cell is the smallest number of colluding agents found that reaches the goal: " +
	`those that always report the same /
those that change. Every region has one host and one agent, and a host's own region does not vote on it. A false down or
partial is published of a check that works, within 90 s. An outage is a host that is gone, watched for two minutes: as
partial, it is never shown as a major outage; as unknown, never as worse than unknown; as operational, never as anything
else. A dash: all agents that vote do not reach it.

| regions | voting | false down | false partial | outage as partial | outage as unknown | outage as operational |
|---|---|---|---|---|---|---|
`

// liarRow returns one row of the table; each cell has the needs of constant and of alternating liars.
func liarRow(n meshNeeds) string {
	var out strings.Builder
	fmt.Fprintf(&out, "| %d | %d |", n.regions, n.regions-1)
	for g := range goals {
		fmt.Fprintf(&out, " %s / %s |", n.constant[g], n.alternating[g])
	}
	out.WriteString("\n")
	return out.String()
}
