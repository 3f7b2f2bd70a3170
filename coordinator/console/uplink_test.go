package console

import (
	"html/template"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The item of a host that is down says whether its region's uplink works, as far as the region's other hosts show it.
func TestAHostThatIsDownNamesTheUplink(t *testing.T) {
	const only, both = "It is the only host in London", "Both hosts in London are down: look at its uplink first."
	for name, try := range map[string]struct {
		second  bool          // London has a second host
		down    bool          // which is down as well
		reached time.Duration // when the second host was reached, after the first went down
		want    string
	}{
		"the only host":          {false, false, 0, only},
		"both hosts":             {true, true, -time.Second, both},
		"the other is reached":   {true, false, time.Second, "The uplink of London works, because LON2 there is reached"},
		"the other is not known": {true, false, -time.Second, ""},
	} {
		w := newWorld()
		first := &w.snapshot.Hosts[1]
		second := *first
		since := w.snapshot.At.Add(-time.Minute)
		fail := func(h *mesh.HostState, reached time.Duration) {
			c := h.Checks[0]
			c.Votes = append([]mesh.RegionVote(nil), c.Votes...)
			for i := range c.Votes {
				edges := append([]mesh.EdgeState(nil), c.Votes[i].Edges...)
				edges[0].At = since.Add(reached)
				c.Votes[i].Edges = edges
			}
			h.Checks = []mesh.CheckState{c}
		}
		fail(first, -time.Second)
		first.Checks[0].Verdict, first.Checks[0].Since = mesh.Down, since
		if try.second {
			second.Name = "LON2"
			fail(&second, try.reached)
			if try.down {
				second.Checks[0].Verdict, second.Checks[0].Since = mesh.Down, since
			}
			w.snapshot.Hosts = append(w.snapshot.Hosts, second)
		}
		r := request{catalog: w.catalog, snapshot: w.snapshot}
		items := r.hostItems(&w.snapshot.Hosts[1], nil)
		if len(items) != 1 {
			t.Fatalf("%s: %d items", name, len(items))
		}
		linked := len(items[0].Links) == 2 && items[0].Links[1].URL == "/regions/london"
		if got := items[0].Detail; !strings.Contains(got, try.want) || linked != (try.want != "") ||
			try.want == "" && strings.Contains(got, "London") {
			t.Errorf("%s: %q with links %v, wanted %q", name, got, items[0].Links, try.want)
		}
	}
}

// A service that is down on a host that is reached is no matter of the uplink.
func TestAServiceThatIsDownNamesNoUplink(t *testing.T) {
	w := newWorld()
	h := &w.snapshot.Hosts[1]
	service := h.Checks[0]
	service.Name, service.Kind, service.Verdict = "Mail", "smtp", mesh.Down
	h.Checks = append(h.Checks, service)
	r := request{catalog: w.catalog, snapshot: w.snapshot}
	if got := r.hostItems(h, nil)[0].Detail; strings.Contains(got, "uplink") {
		t.Errorf("%q", got)
	}
}

// What an item of a past moment proposes is about that moment too.
func TestItemsOfAMomentStayAtIt(t *testing.T) {
	w := newWorld()
	h := &w.snapshot.Hosts[1]
	h.Checks[0].Verdict, h.Checks[0].Since = mesh.Down, w.snapshot.At.Add(-time.Minute)
	w.snapshot.At = time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	r := request{catalog: w.catalog, snapshot: w.snapshot, moment: w.snapshot.At}
	it := r.hostItems(h, map[string]*incident.Incident{mesh.Key(h.Name): {ID: "1"}})[0]
	if got := it.Links[len(it.Links)-1].Name; got != "Incident" || len(it.Commands) != 1 {
		t.Errorf("the incident of then: link %q, commands %q", got, it.Commands)
	}
	it.Links = it.Links[:len(it.Links)-1] // an incident has no moments
	const command, address = "coordinator explain LON1 --at 2026-03-01T02:31:00Z", "at=2026-03-01T02%3A31%3A00Z"
	if it.Commands[0] != command {
		t.Errorf("the command is %q", it.Commands[0])
	}
	links := append(it.Links, web.Link{Name: "Matrix", URL: question{from: "lus", show: showLoss}.address("", "")})
	for _, link := range links {
		written := string(atMoment(template.HTML(`href="`+link.URL+`"`), r.moment))
		if !strings.HasSuffix(written, address+`"`) || strings.Count(written, "?") != 1 ||
			atMoment(template.HTML(written), r.moment) != template.HTML(written) {
			t.Errorf("%s leads to %s", link.Name, written)
		}
	}
}

// All that an agent reports of itself is one item.
func TestAnAgentHasOneItem(t *testing.T) {
	w := newWorld()
	w.snapshot.Vantages[0].Advisories = []string{"it does not vote: isolated", "its clock is 3 s ahead"}
	items := advisoryItems(w.snapshot)
	const want = "It does not vote: isolated. Its clock is 3 s ahead. On that server, this says more:"
	if len(items) != 1 || items[0].Detail != want {
		t.Errorf("%+v", items)
	}
	if kept := w.snapshot.Vantages[0].Advisories[0]; kept != "it does not vote: isolated" {
		t.Errorf("the snapshot says %q", kept)
	}
}

// A server that answers at once and asks to come back later is not called slow, and a check's name may be a plural.
func TestWordsOfChecks(t *testing.T) {
	w := newWorld()
	h := &w.snapshot.Hosts[1]
	c := &h.Checks[0]
	c.Name, c.Verdict = "Web sites", mesh.Degraded
	c.Votes = []mesh.RegionVote{{Region: "lusaka", Edges: []mesh.EdgeState{{
		Vote: mesh.OK, Outcome: mesh.Slow, Reason: mesh.ReasonTemporary + "answered 450", RTT: time.Millisecond,
	}}}}
	r := request{catalog: w.catalog, snapshot: w.snapshot}
	if got := r.newCheckView(h, c).Votes[0].Outcome; got != "come back later" {
		t.Errorf("the result is %q", got)
	}
	want := "LON1 Web sites: degraded"
	if len(h.Checks) > 1 {
		t.Fatal("the host has other checks")
	}
	if got := r.hostItems(h, nil)[0].Title; got != want {
		t.Errorf("the title is %q", got)
	}
}
