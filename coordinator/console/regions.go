package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// regionView is how a region sees the others, and how they see it.
type regionView struct {
	web.Look
	Name, Conclusion string
	Vantages, Hosts  []string
	Out, In          []directionRow
}

// labelled is the rows of a table with its label for screen readers, of which no page has two alike.
type labelled[T any] struct {
	Label string
	Rows  []T
}

// From is the table of how the region sees the others.
func (v regionView) From() labelled[directionRow] {
	return labelled[directionRow]{"From " + v.Name, v.Out}
}

// To is the table of how the others see the region.
func (v regionView) To() labelled[directionRow] { return labelled[directionRow]{"To " + v.Name, v.In} }

// directionRow is one direction between the region and another.
type directionRow struct {
	web.Look
	Region    string // in the catalog
	City      string
	Good, Bad int
	Failing   []string // the checks that most results call bad
	pings     pingCounts
}

// Results is how many latest results there are.
func (row directionRow) Results() int { return row.Good + row.Bad }

// cells are those of the table for programs.
func (row directionRow) cells() []any {
	sent, lost := row.pings.total()
	return []any{row.Good, row.Bad, joined(row.Failing), sent, lost}
}

func (row directionRow) fails() bool { return sight{good: row.Good, bad: row.Bad}.fails() }

// regionPage is the page of a region, now or at a moment.
func regionPage(s *console, r request) (view, error) {
	key := mesh.Key(r.PathValue("region"))
	i := slices.IndexFunc(r.catalog.Regions, func(region catalog.Region) bool { return mesh.Key(region.Name) == key })
	if i < 0 {
		return view{}, web.Errorf(http.StatusNotFound, "%s has no region %s.", catalogThen(r), r.PathValue("region"))
	}
	name := r.catalog.Regions[i].Name
	v := r.regionView(name)
	v.addLosses(r, name, pingLosses(s, r))
	out := table{name: "directions", columns: []string{
		"from", "to", "good", "bad", "failing", "pings_sent", "pings_lost",
	}}
	for i := range v.Out {
		out.rows = append(out.rows, append([]any{name, v.Out[i].Region}, v.Out[i].cells()...),
			append([]any{v.In[i].Region, name}, v.In[i].cells()...))
	}
	moment, err := s.newMomentView(r, "", "")
	return view{
		title: "Region " + v.Name, template: "region", section: "/matrix", data: v, moment: moment, tables: []table{out},
	}, err
}

// regionView describes a region, which is named as in the catalog.
func (r request) regionView(region string) regionView {
	v := regionView{Name: sentence.City(r.catalog, region)}
	for _, vantage := range r.snapshot.Vantages {
		if vantage.Region == region {
			v.Vantages = append(v.Vantages, vantage.Name)
		}
	}
	for _, h := range r.snapshot.Hosts {
		if h.Region == region {
			v.Hosts = append(v.Hosts, h.Name)
		}
	}
	for _, other := range r.catalog.Regions {
		if other.Name == region {
			continue
		}
		to, from := r.newDirectionRow(region, other.Name), r.newDirectionRow(other.Name, region)
		to.Region, from.Region = other.Name, other.Name
		to.City, from.City = sentence.City(r.catalog, other.Name), sentence.City(r.catalog, other.Name)
		v.Out, v.In = append(v.Out, to), append(v.In, from)
	}
	v.Look, v.Conclusion = concludeRegion(v)
	return v
}

// newDirectionRow counts the latest results of one region's vantages on the checks of another's hosts.
func (r request) newDirectionRow(from, to string) (row directionRow) {
	filtered := 0
	for i := range r.snapshot.Hosts {
		h := &r.snapshot.Hosts[i]
		if h.Region != to {
			continue
		}
		for k := range h.Checks {
			var s sight
			s.add(&h.Checks[k], func(region string, _ mesh.EdgeState) bool { return region == from })
			row.Good, row.Bad, filtered = row.Good+s.good, row.Bad+s.bad, filtered+s.filtered
			if s.fails() {
				row.Failing = append(row.Failing, h.Name+" "+h.Checks[k].Name)
			}
		}
	}
	switch {
	case row.Results() == 0 && filtered > 0:
		row.Look, row.Word = web.VerdictLook(mesh.Degraded), "pings lost"
	case row.Results() == 0:
		row.Look = web.VoteLook(mesh.Abstain)
	case row.Bad == 0:
		row.Look = web.VoteLook(mesh.OK)
	case row.Good == 0:
		row.Look = web.VoteLook(mesh.Bad)
	default:
		row.Look, row.Word = web.VerdictLook(mesh.Partial), "in part"
	}
	return row
}

// failingCities returns the cities of the rows in which most results are bad, and how many rows have results.
func failingCities(rows []directionRow) (cities []string, known int) {
	for _, row := range rows {
		if row.Results() > 0 {
			known++
		}
		if row.fails() {
			cities = append(cities, row.City)
		}
	}
	return cities, known
}

// failingChecks returns the checks that fail in any of the rows.
func failingChecks(rows []directionRow) (checks []string) {
	for _, row := range rows {
		for _, c := range row.Failing {
			if !slices.Contains(checks, c) {
				checks = append(checks, c)
			}
		}
	}
	return checks
}

// askOutside is what to do where the mesh cannot distinguish the uplink of a region from its hosts.
const askOutside = "Try its addresses from another network, or ask its provider."

// concludeRegion says in a sentence on which side the fault is: the region's uplink, its hosts, or neither.
func concludeRegion(v regionView) (web.Look, string) {
	out, outKnown := failingCities(v.Out)
	in, inKnown := failingCities(v.In)
	inwards := mesh.CountOf(len(in), inKnown, "region", "does", "do")
	most := func(n, of int) bool { return of > 0 && 2*n > of }
	down, partial, up := web.VerdictLook(mesh.Down), web.VerdictLook(mesh.Partial), web.VerdictLook(mesh.Up)
	switch {
	case outKnown+inKnown == 0:
		return web.VerdictLook(mesh.Unknown), "Nothing is known: no vantage has a result from here or about here."
	case most(len(out), outKnown) && most(len(in), inKnown):
		return down, fmt.Sprintf("%s is cut off: it does not reach %d of %s, and %d of %d %s not reach it. "+
			"The fault is its uplink, not the hosts.", v.Name, len(out), mesh.Count(outKnown, "region"), len(in), inKnown,
			mesh.Verb(len(in), inKnown, "does", "do"))
	case most(len(out), outKnown) && len(in) == 0:
		way := "but is reached from there: its way out is broken"
		if inKnown == 0 {
			way = "and whether it is reached from there is not known: it is cut off, or its way out is broken"
		}
		return partial, fmt.Sprintf("%s does not reach %d of %s, %s. Its votes are left out while it is isolated.", v.Name,
			len(out), mesh.Count(outKnown, "region"), way)
	case most(len(in), inKnown) && outKnown == 0:
		return down, fmt.Sprintf("%s not reach %s, and nothing is known of what it sees itself: "+
			"it is cut off, or all its hosts are down. "+askOutside, inwards, v.Name)
	case most(len(in), inKnown):
		return down, fmt.Sprintf("%s not reach the hosts in %s, while it reaches the others: "+
			"its way in is broken, or its hosts are down. "+askOutside, inwards, v.Name)
	case len(out)+len(in) > 0:
		return partial, oneWay(v, out, in)
	case outKnown == 0:
		return web.VerdictLook(mesh.Unknown), fmt.Sprintf("The others reach %s; what it sees itself is not known: it has "+
			"no vantage with a vote.", v.Name)
	case inKnown == 0:
		return web.VerdictLook(mesh.Unknown), fmt.Sprintf("%s reaches the others; whether they reach it is not known: "+
			"no vantage has a result about its hosts.", v.Name)
	}
	if failing := failingChecks(v.In); len(failing) > 0 {
		return partial, fmt.Sprintf("The uplink of %s works. Its own hosts have failing checks: %s.", v.Name,
			strings.Join(failing, ", "))
	}
	if failing := failingChecks(v.Out); len(failing) > 0 {
		return partial, fmt.Sprintf("The uplink of %s works. From here these do not: %s.", v.Name,
			strings.Join(failing, ", "))
	}
	if outKnown < len(v.Out) || inKnown < len(v.In) {
		return up, fmt.Sprintf("%s reaches %d of %s, and is reached from %d. Between it and the others no result counts.",
			v.Name, outKnown, mesh.Count(len(v.Out), "region"), inKnown)
	}
	return up, v.Name + " reaches every region, and every region reaches it."
}

// oneWay names the directions that fail between the region and a few others.
func oneWay(v regionView, out, in []string) string {
	var parts []string
	for _, region := range out {
		if slices.Contains(in, region) {
			parts = append(parts, fmt.Sprintf("%s and %s do not see each other", v.Name, region))
		} else {
			parts = append(parts, fmt.Sprintf("%s does not see %s, but %s sees %s", v.Name, region, region, v.Name))
		}
	}
	for _, region := range in {
		if !slices.Contains(out, region) {
			parts = append(parts, fmt.Sprintf("%s does not see %s, but %s sees %s", region, v.Name, v.Name, region))
		}
	}
	return "The uplink works towards most regions. " + strings.Join(parts, "; ") + "."
}
