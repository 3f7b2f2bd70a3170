package judge_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// waited is a batch with one look of NYC1 at AMS1's smtp, which began at the moment given; connected is when NYC1's connection did.
func (w *world) waited(life, sequence uint64, began, connected time.Duration, outcome mesh.Outcome) *mesh.Batch {
	return &mesh.Batch{
		Agent: "nyc1", Epoch: life, Sequence: sequence, Revision: w.catalog.Revision, Version: "v", Clock: time.Duration(sequence),
		Began: epoch.Add(began), Connected: epoch.Add(connected),
		Observations: []mesh.Observation{{Host: "ams1", Check: "smtp", Family: mesh.IPv4, Began: epoch.Add(began - time.Second), Outcome: outcome}},
	}
}

// What waited in an agent comes beside what it says now, from an earlier life of the agent too. It is no heartbeat, it changes
// neither what the agent says of itself nor which of its batches are repeats, and it completes an edge's history.
func TestHistoryComesBesideTheLiveWord(t *testing.T) {
	w := newWorld()
	w.lay([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	at := func(d time.Duration, b *mesh.Batch) {
		w.elapsed = d
		w.give(judge.Input{Batch: b})
	}
	minute := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	at(minute(20), w.waited(2, 900, minute(20), minute(19), mesh.Unreachable))
	var old []*mesh.Batch
	for i, outcome := range []mesh.Outcome{mesh.Unreachable, mesh.Reachable, mesh.Unreachable, mesh.Unreachable} {
		old = append(old, w.waited(1, uint64(5+i), minute(11+i), minute(19), outcome))
	}
	since := []int{11, 20, 13, 13} // of the present failure, after each
	for i, b := range append(old, old...) {
		at(minute(20)+time.Duration(i+1)*5*time.Second, b)
		want := epoch.Add(minute(since[min(i, 3)]) - time.Second)
		if e := w.edge("nyc1", "ams1", "smtp"); !e.Since.Equal(want) || e.Outcome != mesh.Unreachable {
			t.Fatalf("after %d: %v since %v, want %v", i, e.Outcome, e.Since, want)
		}
	}
	w.give(judge.Input{})
	if v := w.vantage("nyc1"); !v.Silent || v.Clock != 900 || !v.Connected.Equal(epoch.Add(minute(19))) {
		t.Errorf("history is a heartbeat, or a word: %+v", v)
	}
	ignored := w.judge.Ignored()
	at(minute(21), w.waited(2, 900, minute(20), minute(19), mesh.Reachable))
	if w.judge.Ignored() != ignored+1 {
		t.Error("a repeat of the present life's batch was taken")
	}
	at(minute(22), w.waited(2, 901, minute(22), minute(19), mesh.Reachable))
	full := w.waited(2, 902, minute(22), minute(19), mesh.Reachable)
	full.SpoolOff = "no space left on device"
	at(minute(22), full)
	if v := w.vantage("nyc1"); !slices.ContainsFunc(v.Advisories, func(s string) bool { return strings.HasSuffix(s, full.SpoolOff) }) {
		t.Errorf("nobody is told of the full disk: %v", v.Advisories)
	}
	if e := w.edge("nyc1", "ams1", "smtp"); e.Outcome != mesh.Reachable {
		t.Errorf("the present life's next batch was not taken: %v", e.Outcome)
	}
}

// An agent of which only history came was not heard.
func TestHistoryAloneIsNobody(t *testing.T) {
	w := newWorld()
	w.lay([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	w.elapsed = 20 * time.Minute
	w.give(judge.Input{Batch: w.waited(1, 1, time.Minute, 19*time.Minute, mesh.Unreachable)})
	if v := w.vantage("nyc1"); !v.Heard.IsZero() {
		t.Errorf("heard %v", v.Heard)
	}
}

func (w *world) vantage(key string) mesh.VantageState {
	for _, v := range w.judge.Snapshot().Vantages {
		if mesh.Key(v.Name) == key {
			return v
		}
	}
	return mesh.VantageState{}
}

func (w *world) edge(vantage, host, check string) mesh.EdgeState {
	for _, h := range w.judge.Snapshot().Hosts {
		for _, c := range h.Checks {
			for _, v := range c.Votes {
				for _, e := range v.Edges {
					if mesh.Key(h.Name) == host && c.Name == check && mesh.Key(e.Vantage) == vantage {
						return e
					}
				}
			}
		}
	}
	return mesh.EdgeState{}
}

// A batch whose acknowledgement was lost is sent again, and past the stream's memory of its id it is stored a second time. Alone it
// tells of a failure that is over: a break that is known to have come since is not forgotten.
func TestALookThatIsToldAgainDoesNotReachOverABreak(t *testing.T) {
	w := newWorld()
	w.lay([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	minute := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	say := func(at int, sequence uint64, began, connected int, outcome mesh.Outcome) {
		w.elapsed = minute(at)
		w.give(judge.Input{Batch: w.waited(1, sequence, minute(began), minute(connected), outcome)})
	}
	for i, outcome := range []mesh.Outcome{mesh.Unreachable, mesh.Reachable, mesh.Reachable, mesh.Unreachable} {
		say(10+i, uint64(i+1), 10+i, 1, outcome)
	}
	say(25, 1, 10, 24, mesh.Unreachable) // the first, once more
	if e := w.edge("nyc1", "ams1", "smtp"); !e.Since.Equal(epoch.Add(minute(13) - time.Second)) {
		t.Errorf("the failure that began in minute 13 is since %v", e.Since)
	}
}
