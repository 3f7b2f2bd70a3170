package sentence_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

var (
	began = time.Date(2026, 3, 1, 2, 30, 31, 0, time.UTC)

	smtp = catalog.Check{Name: "smtp", Kind: catalog.KindTCP, Options: catalog.TCP{Port: 25}}
	site = catalog.Check{Name: "site", Kind: catalog.KindHTTP, Options: catalog.HTTP{
		URL: "https://user:SECRET@www.example.net/?key=SECRET",
	}}
	ping = catalog.Check{Name: "ping", Kind: catalog.KindPing, Options: catalog.Ping{}}
)

func cities() *catalog.Catalog {
	return &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{
		{Name: "lus", City: "Lusaka"}, {Name: "van", City: "Vancouver"}, {Name: "tor", City: "Toronto"},
	}}
}

// bad returns a region's bad vote with the reasons of its vantages.
func bad(region string, since time.Time, reasons ...string) mesh.RegionVote {
	v := mesh.RegionVote{Region: region, Vote: mesh.Bad, Since: since}
	for _, r := range reasons {
		v.Edges = append(v.Edges, mesh.EdgeState{Vote: mesh.Bad, Reason: r})
	}
	return v
}

// sentenceTest is a check's state and the sentence that describes it.
type sentenceTest struct {
	name  string
	check *catalog.Check
	state mesh.CheckState
	want  string
}

func run(t *testing.T, tests []sentenceTest) {
	t.Helper()
	for _, test := range tests {
		if got := sentence.Of(cities(), test.check, test.state, 0); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestSentencesOfFailures(t *testing.T) {
	all := mesh.Tally{Regions: 4, Voters: 3, Bad: 3}
	two := mesh.Tally{Regions: 8, Voters: 7, OK: 5, Bad: 2}
	run(t, []sentenceTest{
		{"down", &smtp, mesh.CheckState{Verdict: mesh.Down, Since: began, Tally: all, Votes: []mesh.RegionVote{
			bad("lus", began, "timeout"), bad("van", began.Add(time.Second), "timeout"), bad("tor",
				began.Add(2*time.Second), "connection refused"),
		}}, "Down: 3 of 3 regions confirm that it did not answer on port 25, first seen from Lusaka at 02:30:31 UTC."},
		{"seen before the cause", &ping, mesh.CheckState{Verdict: mesh.Down, Since: began, Tally: all,
			Votes: []mesh.RegionVote{
				bad("lus", began.Add(-time.Hour), "timeout"), bad("van", began, "timeout"), bad("tor",
					began.Add(time.Second), "timeout"),
			}}, "Down: 3 of 3 regions confirm that it did not answer when pinged, " +
			"first seen from Vancouver at 02:30:31 UTC."},
		{"no two regions agree", &site, mesh.CheckState{Verdict: mesh.Partial, Since: began.Add(time.Hour),
			Tally: two, Votes: []mesh.RegionVote{
				bad("lus", began, "timeout"), bad("van", began, "status 503"),
			}}, "Partial: Lusaka and Vancouver report that it did not answer as expected at www.example.net; " +
			"reachable from 5 of 7 regions."},
		{"an HTTP status", &site, mesh.CheckState{Verdict: mesh.Partial, Since: began.Add(time.Hour), Tally: two,
			Votes: []mesh.RegionVote{
				bad("lus", began, "status 503"), bad("van", began, "status 503"), {Region: "tor", Vote: mesh.Bad,
					Own: true, Why: "SECRET"},
			}}, "Partial: Lusaka and Vancouver report that it answered with HTTP status 503 at www.example.net; " +
			"reachable from 5 of 7 regions."},
		{"one region is left of a partial outage", &smtp, mesh.CheckState{Verdict: mesh.Partial, Since: began.Add(time.Hour),
			Tally: mesh.Tally{Regions: 8, Voters: 7, OK: 5, Bad: 1},
			Votes: []mesh.RegionVote{bad("lus", began, "connection refused")}},
			"Partial: Lusaka reports that it refused the connection on port 25; reachable from 5 of 7 regions."},
		{"one region judges alone", &smtp, mesh.CheckState{Verdict: mesh.Down, Since: began.Add(time.Hour),
			Tally: mesh.Tally{Regions: 2, Voters: 1, Bad: 1},
			Votes: []mesh.RegionVote{bad("lus", began, "connection refused")}},
			"Down: 1 of 1 region confirms that it refused the connection on port 25."},
		{"nothing left of the votes", nil, mesh.CheckState{Verdict: mesh.Down, Tally: all},
			"Down: 3 of 3 regions confirm that it did not answer as expected."},
	})
}

func TestSentencesWithoutAFailure(t *testing.T) {
	two := mesh.Tally{Regions: 8, Voters: 7, OK: 5, Bad: 2}
	run(t, []sentenceTest{
		{"up", &smtp, mesh.CheckState{Verdict: mesh.Up, Tally: mesh.Tally{Voters: 7, OK: 6, Bad: 1},
			Votes: []mesh.RegionVote{bad("lus", began, "SECRET")}},
			"Up: reachable from 6 of 7 regions."},
		{"flapping", &smtp, mesh.CheckState{Verdict: mesh.Degraded, Rule: sentence.Flapping, Tally: two},
			"Degraded, flapping: it keeps going down and coming back; at this moment reachable from 5 of 7 regions."},
		{"too few", &smtp, mesh.CheckState{Verdict: mesh.Unknown, Rule: quorum.TooFewRegions,
			Tally: mesh.Tally{Voters: 1}},
			"Unknown: not enough regions watch this host."},
		{"unknown", &smtp, mesh.CheckState{Verdict: mesh.Unknown, Tally: mesh.Tally{Voters: 7, OK: 1, Bad: 2}},
			"Unknown: too few results to decide: 1 ok and 2 bad of 7 regions."},
		{"new", &smtp, mesh.CheckState{Verdict: mesh.Pending},
			"Pending: new, and not checked from any other region yet."},
		{"too few, and new", &smtp, mesh.CheckState{Verdict: mesh.Pending, Rule: quorum.TooFewRegions,
			Tally: mesh.Tally{Regions: 2, Voters: 1, OK: 1}},
			"Pending: not enough regions watch this host yet."},
	})
}

// A transition whose catalog is no longer in the ledger is described without cities and ports.
func TestWithoutACatalog(t *testing.T) {
	tr := mesh.Transition{Check: "smtp", Verdict: mesh.Partial, Began: began, Tally: mesh.Tally{Voters: 7, OK: 5,
		Bad: 2}, Sentence: "SECRET", Votes: []mesh.RegionVote{
		bad("lus", began, "refused"), bad("van", began, "refused"),
	}}
	want := "Partial: lus and van report that it refused the connection, first seen from lus at 02:30:31 UTC; " +
		"reachable from 5 of 7 regions."
	if got := sentence.OfTransition(nil, tr); got != want {
		t.Error(got)
	}
	tr.Check = ""
	if got := sentence.OfTransition(nil, tr); got != sentence.ChecksChanged {
		t.Error(got)
	}
}
