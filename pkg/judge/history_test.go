package judge_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// waitingBatch returns a batch with one observation by NYC1 of AMS1's smtp, sent at the given time; connected is when
// NYC1's connection was established.
func waitingBatch(w *world, life, sequence uint64, began, connected time.Duration, outcome mesh.Outcome) *mesh.Batch {
	return &mesh.Batch{
		Agent: "nyc1", Epoch: life, Sequence: sequence, Revision: w.catalog.Revision,
		Version: "v", Clock: time.Duration(sequence),
		Began: epoch.Add(began), Connected: epoch.Add(connected),
		Observations: []mesh.Observation{{Host: "ams1", Check: "smtp", Family: mesh.IPv4,
			Began: epoch.Add(began - time.Second), Outcome: outcome}},
	}
}

// TestHistoryBesideLiveBatches: batches that waited in an agent come beside its live ones, also from before its last
// restart. They are no heartbeats, change neither what the agent reports of itself nor which of its batches are
// repeats, and complete an edge's history.
func TestHistoryBesideLiveBatches(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	at := func(d time.Duration, b *mesh.Batch) {
		w.elapsed = d
		w.give(judge.Input{Batch: b})
	}
	minute := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	at(minute(20), waitingBatch(w, 2, 900, minute(20), minute(19), mesh.Unreachable))
	var old []*mesh.Batch
	for i, outcome := range []mesh.Outcome{mesh.Unreachable, mesh.Reachable, mesh.Unreachable, mesh.Unreachable} {
		old = append(old, waitingBatch(w, 1, uint64(5+i), minute(11+i), minute(19), outcome))
	}
	since := []int{11, 20, 13, 13} // of the present failure, after each
	for i, b := range append(old, old...) {
		at(minute(20)+time.Duration(i+1)*5*time.Second, b)
		want := epoch.Add(minute(since[min(i, 3)]) - time.Second)
		if e := edgeState(w, "nyc1", "ams1", "smtp"); !e.Since.Equal(want) || e.Outcome != mesh.Unreachable {
			t.Fatalf("after %d: %v since %v, want %v", i, e.Outcome, e.Since, want)
		}
	}
	w.give(judge.Input{})
	if v := vantageState(w, "nyc1"); !v.Silent || v.Clock != 900 || !v.Connected.Equal(epoch.Add(minute(19))) {
		t.Errorf("history counts as a heartbeat or a report: %+v", v)
	}
	ignored := w.judge.Ignored()
	at(minute(21), waitingBatch(w, 2, 900, minute(20), minute(19), mesh.Reachable))
	if w.judge.Ignored() != ignored+1 {
		t.Error("a repeated batch was accepted")
	}
	at(minute(22), waitingBatch(w, 2, 901, minute(22), minute(19), mesh.Reachable))
	full := waitingBatch(w, 2, 902, minute(22), minute(19), mesh.Reachable)
	full.SpoolOff = "no space left on device"
	at(minute(22), full)
	if v := vantageState(w, "nyc1"); !slices.ContainsFunc(v.Advisories,
		func(s string) bool { return strings.HasSuffix(s, full.SpoolOff) }) {
		t.Errorf("no advisory about the full disk: %v", v.Advisories)
	}
	if e := edgeState(w, "nyc1", "ams1", "smtp"); e.Outcome != mesh.Reachable {
		t.Errorf("the next live batch was not accepted: %v", e.Outcome)
	}
}

// TestHistoryIsNoHeartbeat: an agent of which only history came was never heard.
func TestHistoryIsNoHeartbeat(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	w.elapsed = 20 * time.Minute
	w.give(judge.Input{Batch: waitingBatch(w, 1, 1, time.Minute, 19*time.Minute, mesh.Unreachable)})
	if v := vantageState(w, "nyc1"); !v.LastBatch.IsZero() {
		t.Errorf("heard %v", v.LastBatch)
	}
}

func vantageState(w *world, key string) mesh.VantageState {
	for _, v := range w.judge.Snapshot().Vantages {
		if mesh.Key(v.Name) == key {
			return v
		}
	}
	return mesh.VantageState{}
}

func edgeState(w *world, vantage, host, check string) mesh.EdgeState {
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

// TestRepeatedBatchBridgesNoBreak: a batch whose acknowledgement was lost is sent again, and the stream stores it twice
// once it has forgotten its id. The failure in it is over: the break that came since must stay in the history.
func TestRepeatedBatchBridgesNoBreak(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	minute := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	say := func(at int, sequence uint64, began, connected int, outcome mesh.Outcome) {
		w.elapsed = minute(at)
		w.give(judge.Input{Batch: waitingBatch(w, 1, sequence, minute(began), minute(connected), outcome)})
	}
	for i, outcome := range []mesh.Outcome{mesh.Unreachable, mesh.Reachable, mesh.Reachable, mesh.Unreachable} {
		say(10+i, uint64(i+1), 10+i, 1, outcome)
	}
	say(25, 1, 10, 24, mesh.Unreachable) // the first, once more
	if e := edgeState(w, "nyc1", "ams1", "smtp"); !e.Since.Equal(epoch.Add(minute(13) - time.Second)) {
		t.Errorf("the failure that began in minute 13 is since %v", e.Since)
	}
}
