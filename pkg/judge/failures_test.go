package judge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A mesh that probes once a minute has few scheduled probes, and rounds may add only a share of them. Failures one
// after the other must be published all the same as soon as the schedule finds them: the next vantage's probe is a
// ninth of a minute away at most.
func TestFailuresInARowOnASlowSchedule(t *testing.T) {
	failuresInARow(t, time.Minute, 20)
}

// Failures that follow one another for a quarter of an hour, each with its recovery, do not use up the budget of rounds
// either: what a round cost is returned when the quorum confirms it.
func TestManyFailuresInARow(t *testing.T) {
	failuresInARow(t, 10*time.Second, 100)
}

// failuresInARow lets hosts fail one after the other and recover, and requires that each
// failure is published as soon as the schedule finds it.
func failuresInARow(t *testing.T, interval time.Duration, failures int) {
	t.Helper()
	w := newWorld()
	w.checks = []string{"smtp", "imap"}
	w.interval = interval
	regions := strings.Fields("ams lon van nyc tor lus syd sea fra")
	w.addRegions(regions)
	w.catalog.Rule.FlapOver = 1e9 // the same host fails every 80 s
	w.begin()
	w.play(2 * interval)
	// The longest gap between the probes of two regions, and the retries of the first and of all others.
	found := interval/8 + 2*time.Second
	for n := range failures {
		host := upper(regions[n%len(regions)]) + "1"
		w.eachPath(host+"/*", nil, func(p path) { w.broken[p] = "timeout" })
		if took := w.until(t, host, mesh.MajorOutage, time.Minute); took > found {
			t.Errorf("failure %d, of %s, was published after %v, not within %v", n+1, host, took, found)
		}
		w.eachPath(host+"/*", nil, func(p path) { delete(w.broken, p) })
		w.until(t, host, mesh.Operational, 5*time.Minute)
		w.play(time.Second)
	}
}

// until lets time pass until the host has the status, and returns how long it took.
func (w *world) until(t *testing.T, host string, status mesh.Status, limit time.Duration) time.Duration {
	t.Helper()
	began := w.elapsed
	for w.elapsed < began+limit {
		w.play(step)
		for _, h := range w.snapshot().Hosts {
			if h.Name == host && h.Status == status {
				return w.elapsed - began
			}
		}
	}
	t.Fatalf("%s is not %s after %v", host, status, limit)
	return 0
}
