package judge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// history lets random things happen to a mesh and returns what its judge was told.
func history(t *rapid.T) *world {
	w := newWorld()
	w.lay([]string{"ams", "lon", "van", "nyc:2", "tor"})
	w.begin()
	regions := []string{"lon", "van", "nyc", "tor"}
	for range rapid.IntRange(1, 4).Draw(t, "events") {
		for range rapid.IntRange(20, 300).Draw(t, "steps") {
			w.elapsed += step
			w.step()
		}
		from := rapid.SliceOfDistinct(rapid.SampledFrom(regions), rapid.ID[string]).Draw(t, "from")
		switch rapid.SampledFrom([]string{"fail", "mend", "silent", "speaks"}).Draw(t, "event") {
		case "fail":
			w.each("AMS1/*", from, func(p path) { w.broken[p] = "timeout" })
		case "mend":
			clear(w.broken)
		case "silent":
			w.hush(from, true)
		case "speaks":
			w.hush(regions, false)
		}
	}
	return w
}

func (w *world) hush(regions []string, silent bool) {
	for _, a := range w.agents {
		for _, r := range regions {
			if a.region == r {
				a.silent = silent
			}
		}
	}
}

// The same stream gives the same verdicts, and a batch that comes twice changes nothing.
func TestTheJudgeIsAReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := history(t)
		again := judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster()})
		var published []mesh.Transition
		for _, in := range w.inputs {
			published = append(published, again.Step(in).Transitions...)
			if in.Batch != nil {
				published = append(published, again.Step(in).Transitions...)
			}
		}
		if diff := cmp.Diff(w.published, published); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A host's statuses chain without a gap, nothing begins after it is published, and silence never yields operational.
func TestTransitionsChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := history(t)
		last := map[string]mesh.Status{}
		for _, tr := range w.published {
			if was, ok := last[tr.Host]; ok && was != tr.From {
				t.Fatalf("%s was %s and goes on from %s", tr.Host, was, tr.From)
			}
			if tr.Began.After(tr.Published) {
				t.Fatalf("%s began at %v and was published at %v", tr.ID, tr.Began, tr.Published)
			}
			last[tr.Host] = tr.To
		}
		for range 10 {
			w.sequence++
			w.elapsed += 10 * time.Second
			w.judge.Step(judge.Input{Sequence: w.sequence, At: epoch.Add(w.elapsed)})
		}
		for _, h := range w.judge.Snapshot().Hosts {
			if h.Status == mesh.Operational {
				t.Fatalf("%s is operational after 100 s of silence", h.Name)
			}
		}
	})
}
