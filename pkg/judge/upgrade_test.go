package judge_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestUpgradePublishesNothing upgrades a mesh whose hosts have names: first the coordinator, whose catalog has families
// then, and then the agents one by one. No verdict changes, and in the end a family that fails is detected.
func TestUpgradePublishesNothing(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
	w.addresses, w.unfamilied = []string{"mail.example.net"}, true
	for _, a := range w.agents {
		a.old = true
	}
	w.begin()
	for range 20 * 20 {
		w.elapsed += step
		w.step()
	}
	if got := w.verdict("AMS1/smtp"); got != string(mesh.Up) {
		t.Fatalf("before the upgrade it is %s\n%s", got, w.votes("AMS1"))
	}
	published := len(w.published)

	next := *w.catalog
	next.Hosts = slices.Clone(w.catalog.Hosts)
	for i := range next.Hosts {
		next.Hosts[i].Checks = slices.Clone(next.Hosts[i].Checks)
	}
	catalog.NameFamilies(&next)
	catalog.Seal(&next)
	w.catalog = &next
	w.give(judge.Input{Catalog: &next})
	for n := range 60 * 20 {
		if n%(10*20) == 0 && n/(10*20) < len(w.agents) {
			w.agents[n/(10*20)].old = false
		}
		w.elapsed += step
		w.step()
		for _, tr := range w.published[published:] {
			t.Fatalf("at %v published %s/%s %s\n%s", w.elapsed, tr.Host, tr.Check, tr.Verdict, w.votes("AMS1"))
		}
	}
	w.eachPath("AMS1/smtp", []string{"ipv6"}, func(p path) { w.broken[p] = "connection refused" })
	for range 5 * 20 {
		w.elapsed += step
		w.step()
	}
	if got := w.verdict("AMS1/smtp"); got != string(mesh.Down) {
		t.Errorf("its IPv6 refuses, and it is %s\n%s", got, w.votes("AMS1"))
	}
	for _, h := range w.snapshot().Hosts {
		for _, c := range h.Checks {
			for _, v := range c.Votes {
				for _, e := range v.Edges {
					if e.Family == mesh.AnyFamily {
						t.Errorf("%s/%s: %s still reports without a family", h.Name, c.Name, e.Vantage)
					}
				}
			}
		}
	}
}

// TestTheLastHostIsNotUp takes all hosts but one out of the catalog: nobody probes it any more, and a verdict that no
// vote supports does not stand.
func TestTheLastHostIsNotUp(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van", "nyc"})
	w.begin()
	for range 20 * 20 {
		w.elapsed += step
		w.step()
	}
	if got := w.verdict("AMS1/smtp"); got != string(mesh.Up) {
		t.Fatalf("it is %s\n%s", got, w.votes("AMS1"))
	}
	next := *w.catalog
	next.Hosts = w.catalog.Hosts[:1]
	catalog.Seal(&next)
	w.catalog = &next
	w.give(judge.Input{Catalog: &next})
	for range 60 * 20 {
		w.elapsed += step
		w.step()
	}
	c := w.snapshot().Hosts[0].Checks[0]
	if c.Verdict != mesh.Unknown || c.Sentence != "Unknown: not enough regions watch this host." ||
		!strings.Contains(strings.Join(c.Advisories, " "), "regions_min") {
		t.Errorf("%s: %s %q", c.Verdict, c.Sentence, c.Advisories)
	}
}
