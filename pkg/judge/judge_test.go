package judge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// event is something that happens to a mesh after a number of steps.
type event struct {
	steps int
	what  string
	from  []string
}

func events(t *rapid.T) []event {
	out := make([]event, rapid.IntRange(1, 4).Draw(t, "events"))
	for i := range out {
		out[i] = event{
			steps: rapid.IntRange(20, 300).Draw(t, "steps"),
			from: rapid.SliceOfDistinct(rapid.SampledFrom([]string{"lon", "van", "nyc", "tor"}),
				rapid.ID[string]).Draw(t, "from"),
			what: rapid.SampledFrom([]string{"fail", "mend", "silent", "speaks"}).Draw(t, "event"),
		}
	}
	return out
}

// happen applies the events to a mesh and then runs it for a while. It calls at after every step.
func happen(events []event, after int, at func(*world)) *world {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van", "nyc:2", "tor"})
	w.begin()
	for _, e := range append(events, event{steps: after}) {
		for range e.steps {
			w.elapsed += step
			w.step()
			at(w)
		}
		switch e.what {
		case "fail":
			w.eachPath("AMS1/*", e.from, func(p path) { w.broken[p] = "timeout" })
		case "mend":
			clear(w.broken)
		case "silent":
			setSilent(w, e.from, true)
		case "speaks":
			setSilent(w, []string{"lon", "van", "nyc", "tor"}, false)
		}
	}
	return w
}

// history applies random events to a mesh and returns it with its judge's inputs.
func history(t *rapid.T) *world { return happen(events(t), 0, func(*world) {}) }

func setSilent(w *world, regions []string, silent bool) {
	for _, a := range w.agents {
		for _, r := range regions {
			if a.region == r {
				a.silent = silent
			}
		}
	}
}

// TestReplay: the same stream gives the same verdicts, and a batch that comes twice changes nothing.
func TestReplay(t *testing.T) {
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

// TestReplayWithRegionsLeftOut: a replay of the stream with its changes of the catalog gives the same, and a judge that
// never had the region's votes reaches the same verdicts from then on.
func TestReplayWithRegionsLeftOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		story := append([]event{{steps: 240}}, events(t)...)
		when, steps := 240+rapid.IntRange(0, 400).Draw(t, "when"), 0
		region := rapid.SampledFrom([]string{"lus", "syd", "lon"}).Draw(t, "region")
		first := (*catalog.Catalog)(nil)
		w := happen(story, when+600, func(w *world) {
			if steps++; steps == when {
				first = w.catalog
				exceptRegions(w, "*/*", []string{region})
			}
		})
		again := judge.New(judge.Start{Catalog: first, Roster: w.roster()})
		var published []mesh.Transition
		for _, in := range w.inputs {
			published = append(published, again.Step(in).Transitions...)
		}
		if diff := cmp.Diff(w.published, published); diff != "" {
			t.Fatal(diff)
		}
		for _, h := range again.Snapshot().Hosts {
			for _, c := range h.Checks {
				for _, v := range c.Votes {
					if v.Region == region {
						t.Fatalf("%s %s counts %+v", h.Name, c.Name, v)
					}
				}
			}
		}
	})
}

// TestTransitionsChain: a host's statuses chain without a gap, nothing begins after it is published, and silence never
// yields operational.
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

// TestReplayFromAnyPoint: a judge that continues at any time, from what was published and the last minutes of the
// stream, reaches the same verdicts as one that saw everything, once every vote was cast again. It publishes nothing
// that the other one does not.
func TestReplayFromAnyPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		story := append([]event{{steps: 240}}, events(t)...) // everything works at first
		when := 240 + rapid.IntRange(0, 600).Draw(t, "when")
		window := time.Duration(rapid.SampledFrom([]int{900, 30}).Draw(t, "window")) * time.Second
		const longer = 600 // steps: 30 s; a vote counts for 23 s
		steps := 0
		whole := happen(story, when+longer, func(*world) {})
		again := happen(story, when+longer, func(w *world) {
			if steps++; steps == when {
				takeOver(w, window)
			}
		})
		if diff := cmp.Diff(verdictsOf(whole.judge), verdictsOf(again.judge)) + cmp.Diff(publishedVerdicts(whole),
			publishedVerdicts(again)); diff != "" {
			t.Fatalf("%s\nafter a restart at %v with the last %v of %+v", diff, step*time.Duration(when), window,
				story)
		}
	})
}

// takeOver replaces the judge by one that starts as a coordinator does: from what was published, and the stream's last
// minutes. What was published before is not published again.
func takeOver(w *world, window time.Duration) {
	var judged uint64
	if n := len(w.published); n > 0 {
		judged = w.published[n-1].Sequence
	}
	standings := w.standings()
	w.judge, w.seen = judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster(), Standings: standings,
		Heard: judge.HeardIn(w.published)}), nil
	from := epoch.Add(w.elapsed - window)
	restored := false
	for _, in := range w.inputs {
		if in.At.Before(from) {
			continue
		}
		if !restored && in.Sequence > judged {
			w.judge.Restore(standings)
			restored = true
		}
		if out := w.judge.Step(in); restored {
			w.published = append(w.published, out.Transitions...)
		}
	}
	if !restored {
		w.judge.Restore(standings)
	}
}

// verdictsOf returns the verdicts of a judge by host and check.
func verdictsOf(j *judge.Judge) map[string]mesh.Verdict {
	out := map[string]mesh.Verdict{}
	for _, h := range j.Snapshot().Hosts {
		for _, c := range h.Checks {
			out[h.Name+"/"+c.Name] = c.Verdict
		}
	}
	return out
}

// publishedVerdicts returns the verdicts that were published of each check.
func publishedVerdicts(w *world) map[string]string {
	out := map[string]string{}
	for _, t := range w.published {
		out[t.Host+"/"+t.Check] += " " + string(t.Verdict)
	}
	return out
}
