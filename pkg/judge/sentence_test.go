package judge_test

import (
	"strings"
	"testing"
	"time"

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
