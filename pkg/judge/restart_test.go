package judge_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestRestartPublishesNothing: while all checks work, neither a pause of the stream nor a restart of the coordinator
// publishes anything, whatever the interval of the checks and the length of the pause.
func TestRestartPublishesNothing(t *testing.T) {
	intervals := []time.Duration{
		time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 5 * time.Minute, 10 * time.Minute, time.Hour,
	}
	rapid.Check(t, func(t *rapid.T) {
		// Draws lean to what is small: an hour is drawn now and then, and takes as long as all others together.
		interval := intervals[min(rapid.IntRange(0, 12).Draw(t, "interval"), len(intervals)-1)]
		pause := time.Duration(rapid.IntRange(0, 600_000).Draw(t, "pause, ms")) * time.Millisecond
		if rapid.Bool().Draw(t, "short") {
			pause %= 15 * time.Second
		}
		again := rapid.Bool().Draw(t, "a new judge")
		w := newWorld()
		w.checks = []string{"smtp"}
		w.addRegions([]string{"ams", "lon", "nyc", "lus"})
		for i := range w.agents {
			w.agents[i].reconnects = time.Duration(rapid.IntRange(0, 2000).Draw(t,
				"reconnects after, ms")) * time.Millisecond
		}
		w.interval = interval
		w.begin()
		before := interval + 10*time.Second + time.Duration(rapid.IntRange(0, 20_000).Draw(t,
			"before, ms"))*time.Millisecond
		w.play(before)
		published := len(w.published)
		w.stopped = true
		w.play(pause)
		w.stopped, w.resumed = false, w.elapsed
		if again {
			w.restart()
		}
		w.play(2*interval + time.Minute)
		for _, tr := range w.published[published:] {
			if tr.Was != mesh.Pending { // a check whose first probe came after the pause
				t.Fatalf("%v after the pause: %s/%s %s -> %s: %s", tr.Published.Sub(epoch)-before-pause, tr.Host,
					tr.Check, tr.Was, tr.Verdict, tr.Rule)
			}
		}
		for _, h := range w.snapshot().Hosts {
			if h.Status != mesh.Operational {
				t.Fatal(fmt.Sprint(h.Name, " is ", h.Status, ": ", h.Sentence))
			}
		}
	})
}

// play advances the world.
func (w *world) play(d time.Duration) {
	for end := w.elapsed + d; w.elapsed < end; w.elapsed += step {
		w.step()
	}
}

// TestRestoredCause: a host keeps the cause of its outage after a restart, in whatever order the ledger lists its
// checks.
func TestRestoredCause(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van"})
	w.begin()
	standings := []judge.Standing{
		{Host: "ams1", Check: "smtp", Verdict: mesh.Down, Cause: "7-0"},
		{Host: "ams1", Check: "imap", Verdict: mesh.Up},
		{Host: "lon1", Check: "smtp", Verdict: mesh.Up, Cause: "3-0"}, // of an outage that is over
	}
	for range 2 {
		slices.Reverse(standings)
		w.judge = judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster(), Standings: standings})
		for _, h := range w.judge.Snapshot().Hosts {
			for _, c := range h.Checks {
				want := map[string]string{"AMS1/smtp": "7-0"}[h.Name+"/"+c.Name]
				if c.Cause != want {
					t.Errorf("%s/%s has the cause %q, want %q", h.Name, c.Name, c.Cause, want)
				}
			}
		}
	}
}
