package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// world is five regions with a host each that all reach one another by ping, as a catalog and a snapshot.
type world struct {
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
}

var places = []string{"amsterdam", "london", "lusaka", "sydney", "toronto"}

func newWorld() world {
	w := world{&catalog.Catalog{Rule: catalog.DefaultRule()}, &mesh.Snapshot{At: time.Now()}}
	for _, region := range places {
		name := strings.ToUpper(region[:3]) + "1"
		w.catalog.Regions = append(w.catalog.Regions, catalog.Region{Name: region, City: sentenceCase(region)})
		w.catalog.Hosts = append(w.catalog.Hosts, catalog.Host{
			Name: name, Region: region, Checks: []catalog.Check{{Kind: "ping", Name: "ping"}},
		})
		h := mesh.HostState{Name: name, Region: region, Status: mesh.Operational}
		c := mesh.CheckState{
			Name:    "ping",
			Kind:    "ping",
			Verdict: mesh.Up,
			Since:   w.snapshot.At.Add(-24 * time.Hour),
			Tally:   mesh.Tally{Regions: 5, Voters: 4, OK: 4},
		}
		for _, from := range places {
			c.Votes = append(c.Votes, mesh.RegionVote{
				Region: from, Own: from == region, Vote: mesh.OK, Edges: []mesh.EdgeState{{
					Vantage: mesh.Key(from[:3] + "1"), Vote: mesh.OK, Outcome: mesh.Reachable, At: w.snapshot.At,
				}},
			})
		}
		h.Checks = append(h.Checks, c)
		w.snapshot.Hosts = append(w.snapshot.Hosts, h)
		w.snapshot.Vantages = append(w.snapshot.Vantages, mesh.VantageState{
			Name: name, Region: region, LastBatch: w.snapshot.At,
		})
	}
	return w
}

// lose has one region lose the host of another.
func (w world) lose(from, to string) {
	for i := range w.snapshot.Hosts {
		h := &w.snapshot.Hosts[i]
		for k := range h.Checks {
			for n := range h.Checks[k].Votes {
				if v := &h.Checks[k].Votes[n]; h.Region == to && v.Region == from && !v.Own {
					v.Vote, v.Why, v.Since = mesh.Bad, "timeout", w.snapshot.At.Add(-time.Hour)
					h.Checks[k].Tally.OK--
					h.Checks[k].Tally.Bad++
				}
			}
		}
	}
}

func (w world) titles() (out []string) {
	for _, p := range brokenPaths(w.catalog, w.snapshot) {
		title, detail := p.words(w.catalog)
		out = append(out, title+". "+detail)
	}
	return out
}

func TestCutsBetweenTwoRegionsAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		lost [][2]string
		want []string // the beginnings of what is named
	}{
		"nothing": {nil, nil},
		"one way": {[][2]string{{"lusaka", "london"}}, []string{"One-way cut: London sees Lusaka, Lusaka does not"}},
		"both ways": {[][2]string{{"lusaka", "london"}, {"london", "lusaka"}}, []string{
			"Path cut between London and Lusaka, one way or both: neither sees the other",
		}},
		"two cuts": {[][2]string{{"lusaka", "london"}, {"sydney", "toronto"}}, []string{
			"One-way cut: London sees Lusaka", "One-way cut: Toronto sees Sydney",
		}},
		// A region that loses most of the others has lost its own uplink: the isolated vantage is an advisory of its own.
		"an uplink": {[][2]string{
			{"lusaka", "london"}, {"lusaka", "amsterdam"}, {"lusaka", "sydney"}, {"lusaka", "toronto"},
		}, nil},
	} {
		w := newWorld()
		for _, d := range test.lost {
			w.lose(d[0], d[1])
		}
		got := w.titles()
		if len(got) != len(test.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
}

// A path is cut once its pings fail, although a check of it has not had its turn since; and that the other side sees is
// said of what it has seen since then.
func TestAPathIsCutBeforeEachCheckHadItsTurn(t *testing.T) {
	w := newWorld()
	w.lose("lusaka", "amsterdam") // since an hour
	h := &w.snapshot.Hosts[0]
	web := h.Checks[0]
	web.Name, web.Kind, web.Tally = "Web sites", "http", mesh.Tally{Regions: 5, Voters: 4, OK: 4}
	web.Votes = slices.Clone(web.Votes)
	answered := func(at time.Duration) mesh.RegionVote {
		return mesh.RegionVote{Region: "lusaka", Vote: mesh.OK, Edges: []mesh.EdgeState{{
			Vantage: "lus1", Vote: mesh.OK, Outcome: mesh.Reachable, At: w.snapshot.At.Add(at),
		}}}
	}
	web.Votes[2] = answered(-61 * time.Minute)
	h.Checks = append(h.Checks, web)
	if got := w.titles(); len(got) != 1 || !strings.HasPrefix(got[0], "One-way cut: Amsterdam sees Lusaka") {
		t.Errorf("%q", got)
	}
	back := &w.snapshot.Hosts[2].Checks[0].Votes[0]
	back.Edges[0].At = w.snapshot.At.Add(-61 * time.Minute)
	if got := w.titles(); len(got) != 1 || !strings.HasPrefix(got[0], "Lusaka does not see Amsterdam") {
		t.Errorf("%q", got)
	}
	h.Checks[1].Votes[2] = answered(-time.Minute)
	if got := w.titles(); len(got) > 0 {
		t.Errorf("its web sites answer: %q", got)
	}
}

// What is down for everybody is the host's fault: no path is blamed for it.
func TestAHostThatIsDownCutsNoPath(t *testing.T) {
	w := newWorld()
	for _, from := range places {
		w.lose(from, "london")
	}
	w.snapshot.Hosts[1].Checks[0].Verdict = mesh.Down
	if got := w.titles(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// A region may lose one service of a host whose ping it reaches: that is one check, and no path.
func TestALonelyRegionIsNamedWithItsChecks(t *testing.T) {
	w := newWorld()
	h := &w.snapshot.Hosts[0]
	web := h.Checks[0]
	web.Name, web.Kind = "Web sites", "http"
	web.Votes = append([]mesh.RegionVote(nil), web.Votes...)
	web.Votes[2] = alone(w.snapshot.At.Add(-6*time.Minute), w.snapshot.At)
	web.Tally.Bad = 1
	h.Checks = append(h.Checks, web)
	got := lonelyVotes(w.catalog.Rule, w.snapshot, brokenPaths(w.catalog, w.snapshot))
	if len(got) != 1 || got[0].region != "lusaka" || got[0].host != "AMS1" || got[0].checks[0].name != "Web sites" {
		t.Errorf("%+v", got)
	}
	w.lose("lusaka", "amsterdam") // now all of the path is lost, and it is named once, as a path
	if got := lonelyVotes(w.catalog.Rule, w.snapshot, brokenPaths(w.catalog, w.snapshot)); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// alone is Lusaka's bad vote, with its first and its latest miss.
func alone(first, latest time.Time) mesh.RegionVote {
	return mesh.RegionVote{Region: "lusaka", Vote: mesh.Bad, Why: "timeout", Since: first, Edges: []mesh.EdgeState{{
		Vantage: "lus1", Vote: mesh.Bad, Outcome: mesh.Unreachable, At: latest, Since: first, LastBad: latest,
	}}}
}

// A region misses alone if it missed twice within the present verdict, for minutes. It reads how the check leaves it
// out after an hour.
func TestALonelyRegionHasMissedForLong(t *testing.T) {
	now := newWorld().snapshot.At
	ago := func(minutes float64) time.Time { return now.Add(-time.Duration(minutes * float64(time.Minute))) }
	for name, test := range map[string]struct {
		up, first, latest    time.Time
		named, except, round bool
	}{
		"an outage that was mended 40 s ago": {up: ago(0.67), first: ago(8), latest: ago(1)},
		"mended long ago, not probed since":  {up: ago(120), first: ago(180), latest: ago(121)},
		"once within the verdict":            {up: ago(60), first: ago(9), latest: ago(9)},
		"for 4 minutes":                      {up: ago(60), first: ago(4), latest: ago(1)},
		"for 6 minutes":                      {up: ago(60), first: ago(6), latest: ago(1), named: true},
		"a round is open":                    {up: ago(60), first: ago(6), latest: ago(1), round: true},
		"for an hour":                        {up: ago(120), first: ago(61), latest: ago(1), named: true, except: true},
		"since before the verdict":           {up: ago(120), first: ago(180), latest: ago(1), named: true, except: true},
	} {
		w := newWorld()
		w.snapshot.At = now
		h := &w.snapshot.Hosts[0]
		mail := h.Checks[0]
		mail.Name, mail.Kind, mail.Since, mail.RoundOpen = "Sending mail", "smtp", test.up, test.round
		mail.Votes = append([]mesh.RegionVote(nil), mail.Votes...)
		mail.Votes[2] = alone(test.first, test.latest)
		h.Checks = append(h.Checks, mail)
		got := lonelyVotes(w.catalog.Rule, w.snapshot, nil)
		if named := len(got) > 0; named != test.named {
			t.Errorf("%s: %+v", name, got)
		} else if named {
			it := got[0].item(request{catalog: w.catalog, snapshot: w.snapshot}, 2, true)
			if (len(it.Commands) > 0) != test.except {
				t.Errorf("%s: %q", name, it.Commands)
			}
		}
	}
}

// The proposed lines keep what a check leaves out already, name their checks where there are several, and propose
// nothing after which too few regions have a vote.
func TestExceptionsKeepWhatIsLeftOut(t *testing.T) {
	w := newWorld()
	check := func(name string, except ...string) missed {
		h := &w.catalog.Hosts[0]
		h.Checks = append(h.Checks, catalog.Check{Name: name, Except: except})
		return missed{name: name, since: w.snapshot.At.Add(-2 * exceptAfter)}
	}
	lines := func(checks ...missed) (string, []string) {
		l := lonely{region: "lusaka", host: w.catalog.Hosts[0].Name, checks: checks}
		return l.exception(request{catalog: w.catalog, snapshot: w.snapshot}, "Lusaka")
	}
	mail, web := check("Mail", places[3]), check("Web")
	both := fmt.Sprintf("except: [%s]", strings.Join(slices.Sorted(slices.Values([]string{"lusaka", places[3]})), ", "))
	w.catalog.Rule.RegionsMin = 3
	if _, got := lines(mail); !slices.Equal(got, []string{both}) {
		t.Errorf("%q", got)
	}
	recent := missed{name: "ping", since: w.snapshot.At}
	if _, got := lines(mail, web, recent); !slices.Equal(got, []string{both + " # Mail", "except: [lusaka] # Web"}) {
		t.Errorf("%q", got)
	}
	w.catalog.Rule.RegionsMin = 4
	if _, got := lines(mail, web); !slices.Equal(got, []string{"except: [lusaka] # Web"}) {
		t.Errorf("%q", got)
	}
	if text, got := lines(mail); len(got) > 0 || !strings.Contains(text, "cannot be left out") {
		t.Errorf("%q %q", text, got)
	}
}

// What may be the host's own fault is no path's: while as many fail as publish, or a round may yet find that.
func TestNoPathIsNamedForWhatIsPublished(t *testing.T) {
	for name, change := range map[string]func(h *mesh.HostState){
		"the host is down": func(h *mesh.HostState) { h.Status = mesh.MajorOutage },
		"another check is new, and the ping is down": func(h *mesh.HostState) {
			pending := h.Checks[0]
			pending.Name, pending.Kind, pending.Verdict = "new", "tcp", mesh.Pending
			h.Checks[0].Verdict = mesh.Down
			h.Checks = append(h.Checks, pending)
		},
		"the verdict waits for other hosts": func(h *mesh.HostState) {},
		"a round is open, and one answered": func(h *mesh.HostState) {
			h.Checks[0].RoundOpen = true
			for i := range h.Checks[0].Votes {
				if v := &h.Checks[0].Votes[i]; v.Vote == mesh.Bad && v.Region != "lusaka" {
					v.Vote = mesh.Abstain
				} else {
					v.Since = time.Now().Add(-2 * time.Second)
				}
			}
		},
	} {
		w := newWorld()
		for _, from := range places {
			w.lose(from, "london")
		}
		change(&w.snapshot.Hosts[1])
		if got := w.titles(); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
		if got := lonelyVotes(w.catalog.Rule, w.snapshot, nil); len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A cut that lasts is named while the next round about it is open, too.
func TestACutIsNamedWhileARoundIsOpen(t *testing.T) {
	w := newWorld()
	w.lose("lusaka", "london")
	c := &w.snapshot.Hosts[1].Checks[0]
	c.RoundOpen = true
	for i := range c.Votes {
		if v := &c.Votes[i]; v.Vote == mesh.OK {
			v.Vote = mesh.Abstain
		}
	}
	if got := w.titles(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// A lost ping that gossip proves to be filtered votes ok: it hides no cut of what is begun there.
func TestAFilteredPingHidesNoCut(t *testing.T) {
	w := newWorld()
	h := &w.snapshot.Hosts[0]
	smtp := h.Checks[0]
	smtp.Name, smtp.Kind = "Sending mail", "tcp"
	smtp.Votes = append([]mesh.RegionVote(nil), smtp.Votes...)
	smtp.Votes[2].Vote, smtp.Tally.Bad = mesh.Bad, 1
	h.Checks = append(h.Checks, smtp)
	h.Checks[0].Votes[2].Edges[0].Outcome = mesh.Unreachable
	got := w.titles()
	if len(got) != 1 || !strings.HasPrefix(got[0], "One-way cut: Amsterdam sees Lusaka, Lusaka does not see Amsterdam") {
		t.Errorf("%q", got)
	}
	h.Checks[0].Votes[2].Edges[0].Outcome = mesh.Reachable // the ping works: it is one service, and no path
	if got := w.titles(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// Where a region loses probes of all others, one that fails is no cut between two; where two lose one another's, it is.
func TestLossesBesideACut(t *testing.T) {
	w := newWorld()
	cut := direction{"lusaka", "london"}
	around, between := losses{}, losses{}
	for _, to := range places {
		around[pairKey{mesh.Key(to[:3] + "1"), "ping", "lus1"}] = 0.4
		around[pairKey{mesh.Key(to[:3] + "1"), "ping", "syd1"}] = 0
		for _, from := range places {
			between[pairKey{mesh.Key(to[:3] + "1"), "ping", from[:3] + "1"}] = 0
		}
	}
	between[pairKey{"lon1", "ping", "lus1"}] = 1
	if got := around.beside(w.snapshot, cut); got < meshLossy {
		t.Errorf("around: %v", got)
	}
	if got := between.beside(w.snapshot, cut); got != 0 {
		t.Errorf("between: %v", got)
	}
	for _, from := range places {
		between[pairKey{"syd1", "ping", from[:3] + "1"}] = 0.5
	}
	if got := max(between.beside(w.snapshot, cut), between.typical()); got != 0 {
		t.Errorf("another host was down for minutes: %v", got)
	}
}
