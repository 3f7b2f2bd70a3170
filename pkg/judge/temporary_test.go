package judge_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A server that asks clients to come back later is degraded and never down, and only if most regions are asked to.
func TestATemporaryFailureIsDegraded(t *testing.T) {
	w := newWorld()
	w.checks = []string{"mail"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
	w.begin()
	w.pass(20 * time.Second)
	temporary := func(p path) { w.broken[p] = mesh.ReasonTemporary + `answered "421 busy" to the connection` }
	for _, test := range []struct {
		from []string
		want mesh.Verdict
	}{{[]string{"lon"}, mesh.Up}, {nil, mesh.Degraded}} {
		w.eachPath("AMS1/mail", test.from, temporary)
		w.pass(25 * time.Second)
		c := w.state("AMS1/mail")
		if c.Verdict != test.want {
			t.Errorf("from %q it is %s\n%s", test.from, c.Verdict, w.votes("AMS1"))
		}
		const sentence = "Degraded: reachable from 4 of 4 regions, and most of them were asked to come back later."
		if test.want == mesh.Degraded && c.Sentence != sentence {
			t.Errorf("%q", c.Sentence)
		}
	}
	clear(w.broken)
	w.pass(25 * time.Second)
	if c := w.state("AMS1/mail"); c.Verdict != mesh.Up {
		t.Errorf("afterwards it is %s", c.Verdict)
	}
}

// A phase of an HTTP request over its objective is degraded too, if the check has objectives.
func TestAPhaseOverItsObjectiveIsDegraded(t *testing.T) {
	w := newWorld()
	w.checks = []string{"shop", "web"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
	w.begin()
	w.pass(20 * time.Second)
	slow := func(p path) { w.broken[p] = mesh.ReasonOverObjective + "TLS took 412.0 ms" }
	w.eachPath("AMS1/shop", nil, slow)
	w.eachPath("AMS1/web", nil, slow)
	w.pass(25 * time.Second)
	for name, want := range map[string]mesh.Verdict{"AMS1/shop": mesh.Degraded, "AMS1/web": mesh.Up} {
		if c := w.state(name); c.Verdict != want {
			t.Errorf("%s is %s: %s", name, c.Verdict, c.Sentence)
		}
	}
}

// Degraded begins with the probes that were slow, not with those that found the check up long before, and ends with
// those that were not.
func TestDegradedBeginsWithTheSlowProbes(t *testing.T) {
	w := newWorld()
	w.checks = []string{"mail"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
	w.begin()
	w.pass(5 * time.Minute)
	for _, want := range []mesh.Verdict{mesh.Degraded, mesh.Up} {
		changed := epoch.Add(w.elapsed)
		clear(w.broken)
		if want == mesh.Degraded {
			w.eachPath("AMS1/mail", nil, func(p path) { w.broken[p] = mesh.ReasonTemporary + "451" })
		}
		w.pass(25 * time.Second)
		c := w.state("AMS1/mail")
		if c.Verdict != want || c.Since.Before(changed) || c.Since.After(changed.Add(12*time.Second)) {
			t.Errorf("%s since %s, and it changed %s", c.Verdict, c.Since, changed)
		}
		w.pass(time.Minute)
	}
}

// A silent agent of a region says nothing about how fast its sibling is answered.
func TestASilentSiblingDoesNotMakeARegionFast(t *testing.T) {
	w := newWorld()
	w.checks = []string{"mail"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor:2"})
	w.begin()
	w.pass(20 * time.Second)
	for _, a := range w.agents {
		a.silent = a.key == "tor2"
	}
	w.eachPath("AMS1/mail", []string{"lon", "van", "tor"}, func(p path) { w.broken[p] = mesh.ReasonTemporary + "451" })
	w.pass(25 * time.Second)
	if c := w.state("AMS1/mail"); c.Verdict != mesh.Degraded {
		t.Errorf("%s: %s", c.Verdict, c.Sentence)
	}
}
