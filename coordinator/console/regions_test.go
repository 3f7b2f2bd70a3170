package console

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// threeRegions is a mesh of a host with a check in each of three regions. Votes are bad from the first region of each
// of the pairs to the second, and abstentions for the silent.
func threeRegions(bad [][2]string, silent string) request {
	names, cities := []string{"ams", "lus", "nyc"}, map[string]string{"lus": "Lusaka"}
	r := request{catalog: &catalog.Catalog{Rule: catalog.DefaultRule()}, snapshot: &mesh.Snapshot{}}
	for _, region := range names {
		r.catalog.Regions = append(r.catalog.Regions, catalog.Region{Name: region, City: cities[region]})
		r.snapshot.Vantages = append(r.snapshot.Vantages, mesh.VantageState{Name: "H-" + region, Region: region})
		c := mesh.CheckState{Name: "ping"}
		for _, from := range names {
			e := mesh.EdgeState{Vantage: "h-" + from, Vote: mesh.OK, Outcome: mesh.Reachable}
			for _, pair := range bad {
				if pair == [2]string{from, region} {
					e.Vote, e.Outcome = mesh.Bad, mesh.Unreachable
				}
			}
			if from == silent {
				e.Vote = mesh.Abstain
			}
			if from != region {
				c.Votes = append(c.Votes, mesh.RegionVote{Region: from, Vote: e.Vote, Edges: []mesh.EdgeState{e}})
			}
		}
		r.snapshot.Hosts = append(r.snapshot.Hosts, mesh.HostState{Name: "H-" + region, Region: region,
			Checks: []mesh.CheckState{c}})
	}
	return r
}

// The sentence of a region distinguishes its uplink from a host, names a one-way cut, and claims nothing that is not
// known.
func TestRegionsConclude(t *testing.T) {
	to := func(pairs ...string) (out [][2]string) {
		for _, p := range pairs {
			from, region, _ := strings.Cut(p, ">")
			out = append(out, [2]string{from, region})
		}
		return out
	}
	for name, try := range map[string]struct {
		bad          [][2]string
		silent, want string
		class        string
	}{
		"all well":       {nil, "", "Lusaka reaches every region, and every region reaches it", "up"},
		"cut off":        {to("lus>ams", "lus>nyc", "ams>lus", "nyc>lus"), "", "Lusaka is cut off", "down"},
		"cut and silent": {to("ams>lus", "nyc>lus"), "lus", "nothing is known of what it sees itself", "down"},
		"silent":         {nil, "lus", "what it sees itself is not known", "unknown"},
		"way out":        {to("lus>ams", "lus>nyc"), "", "its way out is broken", "partial"},
		"way in":         {to("ams>lus", "nyc>lus"), "", "its way in is broken, or its hosts are down", "down"},
		"one way":        {to("lus>ams"), "", "Lusaka does not see ams, but ams sees Lusaka", "partial"},
		"the other way":  {to("ams>lus"), "", "ams does not see Lusaka, but Lusaka sees ams", "partial"},
		"both ways":      {to("ams>lus", "lus>ams"), "", "Lusaka and ams do not see each other", "partial"},
	} {
		v := threeRegions(try.bad, try.silent).regionView("lus")
		look, got := v.Look, v.Conclusion
		if !strings.Contains(got, try.want) || look.Class != try.class {
			t.Errorf("%s: %q (%s), wanted %q (%s)", name, got, look.Class, try.want, try.class)
		}
	}
}

// In a mesh of two regions, what one does is said of one.
func TestRegionsConcludeOfOneOther(t *testing.T) {
	for want, v := range map[string]regionView{
		"1 of 1 does not reach it": {
			Out: []directionRow{{Bad: 1}}, In: []directionRow{{Bad: 1}},
		},
		"1 of 1 region does not reach": {Out: []directionRow{{}}, In: []directionRow{{Bad: 1}}},
		"does not reach 1 of 1 region, but is reached from there": {
			Out: []directionRow{{Bad: 1}}, In: []directionRow{{Good: 1}},
		},
		"1 of 1 region, and whether it is reached from there is not known": {
			Out: []directionRow{{Bad: 1}}, In: []directionRow{{}},
		},
	} {
		if _, got := concludeRegion(v); !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// A pair that fails in one direction alone is named so, in each of both directions.
func TestPairsNameOneWayCuts(t *testing.T) {
	r := threeRegions([][2]string{{"lus", "ams"}}, "")
	sentences := func(vantage, host int) string {
		h := &r.snapshot.Hosts[host]
		return strings.Join(r.pairSentences(&r.snapshot.Vantages[vantage], h, &h.Checks[0]), " ")
	}
	for _, try := range []struct {
		vantage, host int
		want          string
	}{
		{1, 0, "H-lus alone does not reach H-ams ping: every other region does."},
		{1, 0, "One-way: H-lus does not see H-ams, but H-ams sees H-lus."},
		{0, 1, "One-way: H-ams sees H-lus, but H-lus does not see H-ams."},
		{2, 0, "Both directions work."},
	} {
		if got := sentences(try.vantage, try.host); !strings.Contains(got, try.want) {
			t.Errorf("%q lacks %q", got, try.want)
		}
	}
}

// filterPing makes the latest ping of the only vantage of a region lost, while the host proves that it is alive.
func filterPing(r request, host int, from string) *mesh.CheckState {
	c := &r.snapshot.Hosts[host].Checks[0]
	for i := range c.Votes {
		if v := &c.Votes[i]; v.Region == from {
			v.Vote, v.Edges[0].Vote, v.Edges[0].Outcome = mesh.OK, mesh.OK, mesh.Unreachable
		}
	}
	return c
}

// A lost ping of a host that is alive does not say that the path works.
func TestAFilteredPingIsNoSight(t *testing.T) {
	r := threeRegions(nil, "")
	ping := filterPing(r, 0, "lus")
	got := strings.Join(r.pairSentences(&r.snapshot.Vantages[1], &r.snapshot.Hosts[0], ping), " ")
	want := "H-lus lost its latest ping of H-ams, and H-ams has since proved otherwise that it is alive"
	if !strings.Contains(got, want) || strings.Contains(got, "Both directions work") {
		t.Errorf("%q", got)
	}
	v := r.regionView("lus")
	if row := v.Out[0]; row.Region != "ams" || row.Word != "pings lost" {
		t.Errorf("%+v", row)
	}
	if want := "Lusaka reaches 1 of 2 regions, and is reached from 2."; !strings.HasPrefix(v.Conclusion, want) {
		t.Errorf("%q", v.Conclusion)
	}
	h := &r.snapshot.Hosts[0] // a service that fails, too: it is a cut
	mail := threeRegions([][2]string{{"lus", "ams"}}, "").snapshot.Hosts[0].Checks[0]
	mail.Name = "Sending mail"
	h.Checks = append(h.Checks, mail)
	got = strings.Join(r.pairSentences(&r.snapshot.Vantages[1], h, &h.Checks[0]), " ")
	if want := "One-way: H-lus does not see H-ams, but H-ams sees H-lus."; !strings.Contains(got, want) {
		t.Errorf("%q lacks %q", got, want)
	}
}

// What began to fail just now may be answered in the round that is open. What failed for longer is a cut in the next
// round, too.
func TestPairsAwaitTheRound(t *testing.T) {
	for since, cut := range map[time.Duration]bool{time.Second: false, time.Hour: true} {
		r := threeRegions([][2]string{{"lus", "ams"}}, "")
		r.snapshot.At = time.Now()
		h := &r.snapshot.Hosts[0]
		h.Checks[0].RoundOpen = true
		for _, v := range h.Checks[0].Votes {
			v.Edges[0].Since = r.snapshot.At.Add(-since)
		}
		got := strings.Join(r.pairSentences(&r.snapshot.Vantages[1], h, &h.Checks[0]), " ")
		if strings.Contains(got, "One-way: H-lus does not see H-ams") != cut {
			t.Errorf("after %v: %q", since, got)
		}
	}
}

// A host that nobody reaches is down, and no path to it is cut.
func TestPairsOfAHostThatIsDownAreNotOneWay(t *testing.T) {
	r := threeRegions([][2]string{{"lus", "ams"}, {"nyc", "ams"}}, "")
	h := &r.snapshot.Hosts[0]
	got := strings.Join(r.pairSentences(&r.snapshot.Vantages[1], h, &h.Checks[0]), " ")
	if !strings.Contains(got, "the fault is at H-ams") || strings.Contains(got, "One-way") {
		t.Error(got)
	}
}
