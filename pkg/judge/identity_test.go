package judge_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// heartbeatOf returns an empty batch of NYC1's agent.
func heartbeatOf(w *world, epochOfAgent, sequence uint64) judge.Input {
	now := epoch.Add(w.elapsed)
	return judge.Input{Batch: &mesh.Batch{
		Agent: "nyc1", Epoch: epochOfAgent, Sequence: sequence, Revision: w.catalog.Revision,
		Began: now, Connected: now.Add(-time.Minute),
	}}
}

func newSmallWorld() *world {
	w := newWorld()
	w.addRegions([]string{"ams", "nyc", "lon", "van"})
	w.begin()
	w.elapsed = time.Minute
	return w
}

// TestLateBatchesAreNoSecondAgent: what an agent sent before a restart may come after its first batches since, in any
// order, twice, within a few seconds; and its history may come at any time. This is still one agent.
func TestLateBatchesAreNoSecondAgent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSmallWorld()
		life, sequence := uint64(1), uint64(0)
		var sent []uint64 // by the start before
		var until time.Duration
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			w.elapsed += time.Duration(rapid.SampledFrom([]int{2000, 50, 500}).Draw(t, "ms")) * time.Millisecond
			sequence++
			w.give(heartbeatOf(w, life, sequence))
			if rapid.IntRange(0, 9).Draw(t, "starts") == 0 {
				sent = []uint64{sequence + 1, sequence + 2, sequence + 3, sequence + 4, sequence}
				until = w.elapsed + 5*time.Second
				life, sequence = life+1, 0
			}
			if len(sent) > 0 && sequence > 0 && w.elapsed < until && rapid.Bool().Draw(t, "late") {
				w.give(heartbeatOf(w, life-1, rapid.SampledFrom(sent).Draw(t, "which")))
			}
			if life > 1 && rapid.Bool().Draw(t, "history") {
				began, connected := w.elapsed-2*time.Minute, w.elapsed-time.Minute
				w.give(judge.Input{Batch: waitingBatch(w, life-1, sequence+100, began, connected, mesh.Reachable)})
			}
			if v := vantageState(w, "nyc1"); !v.IdentityShared.IsZero() || v.Abstains != "" {
				t.Fatalf("at %v: %q, %v", w.elapsed, v.Abstains, v.Advisories)
			}
		}
	})
}

// TestTwoAgentsOfOneIdentityAbstain: they are detected within seconds, however often the first one restarted before,
// and by a judge that replays the last minutes, too. One of them may continue alone.
func TestTwoAgentsOfOneIdentityAbstain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSmallWorld()
		for life := range rapid.Uint64Range(1, 20).Draw(t, "starts") {
			w.elapsed += time.Second
			w.give(heartbeatOf(w, 100+life, 1))
		}
		began := w.elapsed
		for n := range uint64(10) {
			w.elapsed += time.Second
			w.give(heartbeatOf(w, 1, n+1))
			w.elapsed += time.Second
			w.give(heartbeatOf(w, 2, n+1))
		}
		v := vantageState(w, "nyc1")
		if v.Abstains != "two agents use this identity" || v.IdentityShared.Before(epoch.Add(began)) || v.Silent {
			t.Fatalf("%+v", v)
		}
		if !strings.Contains(strings.Join(v.Advisories, "; "), "coordinator revoke NYC1") {
			t.Fatalf("the advisories do not say what to do: %v", v.Advisories)
		}
		replay := judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster()})
		for _, in := range w.inputs[len(w.inputs)-10:] {
			replay.Step(in)
		}
		if !strings.Contains(judgedBy(w, replay, "nyc1").Abstains, "two agents") {
			t.Error("a judge that saw only the last seconds did not detect it")
		}
		survivor := rapid.Uint64Range(1, 2).Draw(t, "survivor")
		for n := range uint64(40) {
			w.elapsed += 2 * time.Second
			w.give(heartbeatOf(w, survivor, n+11))
		}
		if v := vantageState(w, "nyc1"); v.Abstains != "" || !v.IdentityShared.IsZero() || v.Silent {
			t.Errorf("after one of them was alone for 80 s: %+v", v)
		}
	})
}

func judgedBy(w *world, j *judge.Judge, key string) mesh.VantageState {
	for _, v := range j.Snapshot().Vantages {
		if mesh.Key(v.Name) == key {
			return v
		}
	}
	return mesh.VantageState{}
}
