package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// twin is one of two judges that get the same information in two ways.
type twin struct {
	*judge.Judge
	sequence uint64
	rounds   map[string]uint64 // the latest of each host
}

func (w *chaos) twin() *twin {
	return &twin{Judge: judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster}), rounds: map[string]uint64{}}
}

// step gives the twin a message, and ticks until nothing follows from it.
func (x *twin) step(at time.Duration, b *mesh.Batch) {
	for asked := true; asked; b = nil {
		x.sequence++
		out := x.Step(judge.Input{Sequence: x.sequence, At: epoch.Add(at), Batch: b})
		for _, ask := range out.Asks {
			x.rounds[ask.Host] = ask.Round
		}
		asked = len(out.Asks) > 0 || b != nil
	}
}

// verdicts returns the twin's verdicts.
func (x *twin) verdicts() map[string]mesh.Verdict { return verdictsOf(x.Judge) }

// instant returns what the agents of a world report at one time: some of them probe something, and the rounds of a twin
// are answered.
func (w *chaos) instant(x *twin) (out []mesh.Batch) {
	w.at += time.Duration(rapid.SampledFrom([]int{900, 1900, 600, 50}).Draw(w.t, "ms")) * time.Millisecond
	w.changeWorld()
	asked := slices.Sorted(func(yield func(string) bool) {
		for host := range x.rounds {
			if !yield(host) {
				return
			}
		}
	})
	for _, agent := range w.agents() {
		if w.hushed[agent] {
			continue
		}
		b := w.heartbeat(agent)
		for _, key := range asked {
			if host := w.catalog.Host(key); host.Region != w.catalog.Host(agent).Region &&
				rapid.IntRange(0, 9).Draw(w.t, "answers") < 9 {
				b.Observations = append(b.Observations,
					w.observeAll(agent, host, x.rounds[key], 10*time.Millisecond)...)
			}
		}
		if host := w.catalog.Host(w.often()); host.Key() != agent && rapid.Bool().Draw(w.t, "looks") {
			b.Observations = append(b.Observations, w.observeAll(agent, host, 0, 500*time.Millisecond)...)
		}
		w.batch++
		b.Sequence = w.batch
		out = append(out, b)
	}
	return out
}

// TestOrderWithinABatch: the order of a batch's observations does not matter.
func TestOrderWithinABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(t)
		a, b := w.twin(), w.twin()
		for range rapid.IntRange(5, 20).Draw(t, "instants") {
			batches := w.instant(a)
			clear(a.rounds)
			for _, batch := range batches {
				other := batch
				other.Observations = rapid.Permutation(batch.Observations).Draw(t, "order")
				a.step(w.at, &batch)
				b.step(w.at, &other)
			}
			if diff := cmp.Diff(a.verdicts(), b.verdicts()); diff != "" {
				t.Fatalf("at %v: %s\n%s", w.at, diff, strings.Join(w.log, "\n"))
			}
		}
	})
}

// TestRepeatsAndLateArrivalsChangeNothing: neither repeated batches, nor observations older than the edge's latest, nor
// batches that waited in an agent change a verdict or open a round.
func TestRepeatsAndLateArrivalsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(t)
		a, b := w.twin(), w.twin()
		var past []mesh.Batch
		for range rapid.IntRange(5, 20).Draw(t, "instants") {
			batches := w.instant(a)
			clear(a.rounds)
			for _, batch := range batches {
				a.step(w.at, &batch)
				b.step(w.at, &batch)
				past = append(past, batch)
				late := rapid.SampledFrom(past).Draw(t, "late")
				if rapid.Bool().Draw(t, "waited") {
					late = waited(late, batch.Epoch+rapid.Uint64Range(0, 1).Draw(t, "life"), w.at)
				}
				if out := b.Step(judge.Input{Sequence: b.sequence, At: epoch.Add(w.at),
					Batch: &late}); len(out.Asks)+len(out.Transitions) > 0 {
					t.Fatalf("at %v: %+v", w.at, out)
				}
				a.step(w.at, nil)
				b.step(w.at, nil)
			}
			if diff := cmp.Diff(a.verdicts(), b.verdicts()); diff != "" {
				t.Fatalf("at %v: %s", w.at, diff)
			}
		}
	})
}

// waited returns the batch as one that waited in its agent, with the opposite outcomes.
func waited(b mesh.Batch, life uint64, at time.Duration) mesh.Batch {
	b.Epoch, b.Connected, b.Observations = life, epoch.Add(at), slices.Clone(b.Observations)
	b.Began = b.Connected.Add(-time.Second)
	for i := range b.Observations {
		o := &b.Observations[i]
		o.Began = o.Began.Add(-time.Millisecond)
		if o.Outcome = mesh.Unreachable; b.Sequence%2 == 0 {
			o.Outcome = mesh.Reachable
		}
	}
	return b
}

// TestOrderOfAnInstant: batches of one instant may come in any order. Once rounds were answered, and every host either
// works or does not, the verdicts are the same.
func TestOrderOfAnInstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(t)
		w.honest = true
		a, b := w.twin(), w.twin()
		w.calm(a, b) // otherwise the order decides whether a check was ever up
		for range rapid.IntRange(3, 10).Draw(t, "instants") {
			batches := w.instant(a)
			for _, batch := range batches {
				a.step(w.at, &batch)
			}
			for _, batch := range rapid.Permutation(batches).Draw(t, "order") {
				b.step(w.at, b.answers(batch))
			}
		}
		w.calm(a, b)
		if diff := cmp.Diff(a.verdicts(), b.verdicts()); diff != "" {
			t.Fatalf("%s\n%s", diff, strings.Join(w.log, "\n"))
		}
	})
}

// calm makes every agent probe everything for longer than a vote counts, while every host either works or does not.
func (w *chaos) calm(twins ...*twin) {
	for key := range w.gone {
		w.gone[key] = w.gone[key] && w.catalog.Host(key) != nil
	}
	for range 15 {
		w.at += 2 * time.Second
		for _, agent := range w.agents() {
			if w.hushed[agent] {
				continue
			}
			batch := w.heartbeat(agent)
			for i := range w.catalog.Hosts {
				if h := &w.catalog.Hosts[i]; h.Key() != agent {
					batch.Observations = append(batch.Observations, w.observeAll(agent, h, 1, 500*time.Millisecond)...)
				}
			}
			w.batch++
			batch.Sequence = w.batch
			for _, x := range twins {
				x.step(w.at, x.answers(batch))
			}
		}
	}
}

// answers returns the batch with the twin's own rounds.
func (x *twin) answers(b mesh.Batch) *mesh.Batch {
	b.Observations = slices.Clone(b.Observations)
	for i := range b.Observations {
		if o := &b.Observations[i]; o.Round > 0 {
			o.Round = x.rounds[o.Host]
		}
	}
	return &b
}

// TestMoreOKNeverMakesItWorse: from unknown, a region that votes ok instead of bad or not at all never makes a verdict
// worse.
func TestMoreOKNeverMakesItWorse(t *testing.T) {
	worse := map[mesh.Verdict]int{mesh.Up: 0, mesh.Partial: 1, mesh.Unknown: 2, mesh.Down: 3}
	rapid.Check(t, func(t *rapid.T) {
		outcomes := rapid.SliceOfN(rapid.SampledFrom([]mesh.Outcome{mesh.Reachable, mesh.Unreachable,
			mesh.Inconclusive}), 2, 9).Draw(t, "outcomes")
		which := rapid.IntRange(0, len(outcomes)-1).Draw(t, "which")
		was := elect(outcomes)
		better := slices.Clone(outcomes)
		better[which] = mesh.Reachable
		if is := elect(better); worse[is] > worse[was] {
			t.Fatalf("%v is %s, and %v %s", outcomes, was, better, is)
		}
	})
}

// elect returns the verdict of a judge that knew nothing of a host, after a while in which every other region always
// saw the same.
func elect(outcomes []mesh.Outcome) mesh.Verdict {
	w := newWorld()
	w.checks = []string{"smtp"}
	regions := []string{"own"}
	for i := range outcomes {
		regions = append(regions, fmt.Sprintf("r%d", i))
	}
	w.addRegions(regions)
	w.begin()
	for i, outcome := range outcomes {
		switch outcome {
		case mesh.Unreachable:
			w.broken[path{fmt.Sprintf("r%d1", i), "own1", "smtp", mesh.IPv4}] = "refused"
		case mesh.Inconclusive:
			w.broken[path{fmt.Sprintf("r%d1", i), "own1", "smtp", mesh.IPv4}] = "inconclusive"
		}
	}
	w.judge = judge.New(judge.Start{Catalog: w.catalog, Roster: w.roster(),
		Standings: []judge.Standing{{Host: "own1", Check: "smtp", Verdict: mesh.Unknown}}})
	for w.elapsed = 0; w.elapsed < 50*time.Second; w.elapsed += step {
		w.step()
	}
	// That was longer than a vote counts, so that no earlier verdict stands.
	return mesh.Verdict(w.verdict("OWN1/smtp"))
}
