package judge_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

const secret = "key=SECRET"

// TestSentencesQuoteNoAgent takes a check through its verdicts while every agent's reason contains a secret: sentences,
// which the public reads, never contain it; advisories, which operators read, do.
func TestSentencesQuoteNoAgent(t *testing.T) {
	w := newWorld()
	w.checks = []string{"smtp"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor", "lus", "syd", "sea"})
	w.begin()
	reasons := []string{"redirects to https://elsewhere/?" + secret + " (status 302), wanted 200",
		"status 503?" + secret, secret}
	seen := map[mesh.Verdict]bool{}
	operators := map[mesh.Verdict]bool{}
	run := func(until time.Duration, regions ...string) {
		clear(w.broken)
		for i, region := range regions {
			w.eachPath("AMS1/smtp", []string{region}, func(p path) { w.broken[p] = reasons[i%len(reasons)] })
		}
		for ; w.elapsed < until; w.elapsed += step {
			w.step()
			c := w.snapshot().Hosts[0].Checks[0]
			if seen[c.Verdict] = true; strings.Contains(c.Sentence, "SECRET") {
				t.Fatalf("at %v: %s", w.elapsed, c.Sentence)
			}
			for _, a := range c.Advisories {
				operators[c.Verdict] = operators[c.Verdict] || strings.Contains(a, secret)
			}
		}
	}
	run(30 * time.Second)
	run(60*time.Second, "lus")
	run(100*time.Second, "lus", "van", "nyc")
	run(130 * time.Second)
	run(160*time.Second, "lon", "van", "nyc", "tor", "lus", "syd", "sea")
	run(200 * time.Second)
	for at := w.elapsed; at < 700*time.Second; at += 40 * time.Second {
		run(at+20*time.Second, "lon", "van", "nyc", "tor", "lus", "syd", "sea")
		run(at + 40*time.Second)
	}
	for _, v := range []mesh.Verdict{mesh.Pending, mesh.Up, mesh.Partial, mesh.Down, mesh.Degraded} {
		if !seen[v] {
			t.Errorf("the check is never %s here", v)
		}
	}
	if !operators[mesh.Up] {
		t.Error("no advisory quotes what one region reports")
	}
	for _, tr := range w.published {
		if strings.Contains(tr.Sentence, "SECRET") {
			t.Error(tr.Sentence)
		}
		if again := sentence.OfTransition(w.catalog, tr); again != tr.Sentence {
			t.Errorf("published %q, and from the transition's facts %q", tr.Sentence, again)
		}
	}
}

// Which region saw a failure first is decided once: the present sentence says what the published one says, also when
// that region reached the host in between, and after a restart.
func TestTheFirstRegionStaysTheFirst(t *testing.T) {
	w := newWorld()
	w.checks = []string{"smtp"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor", "lus", "syd", "sea"})
	w.begin()
	w.play(30 * time.Second)
	others := []string{"lon", "van", "nyc", "tor", "lus", "syd", "sea"}
	w.eachPath("AMS1/smtp", others, func(p path) { w.broken[p] = "timeout" })
	w.play(40 * time.Second)
	published := w.published[len(w.published)-1]
	_, first, found := strings.Cut(published.Sentence, ", first seen from ")
	if published.Verdict != mesh.Down || !found {
		t.Fatalf("published %+v", published)
	}
	city, _, _ := strings.Cut(first, " at ")
	region := w.catalog.Regions[slices.IndexFunc(w.catalog.Regions, func(r catalog.Region) bool {
		return sentence.City(w.catalog, r.Name) == city
	})].Name
	check := func(when string) {
		t.Helper()
		c := w.snapshot().Hosts[0].Checks[0]
		if c.Verdict != mesh.Down || !strings.HasSuffix(c.Sentence, first) {
			t.Errorf("%s: %s is %s; published was %s", when, c.Sentence, c.Verdict, published.Sentence)
		}
	}
	check("at once")
	// The region reaches the host for a moment.
	w.eachPath("AMS1/smtp", []string{region}, func(p path) { delete(w.broken, p) })
	w.play(25 * time.Second)
	check("while the region reaches it")
	w.eachPath("AMS1/smtp", []string{region}, func(p path) { w.broken[p] = "timeout" })
	w.play(25 * time.Second)
	check("afterwards")
	w.restart()
	w.play(time.Second)
	check("after a restart")
	w.play(time.Minute)
	check("a minute after the restart")
}
