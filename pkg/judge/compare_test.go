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

func (w *chaos) send(b mesh.Batch) {
	w.batch++
	b.Sequence = w.batch
	if asked, ended := w.give(judge.Input{Batch: &b}); asked || ended || len(b.Observations)+len(b.Gossip.Proofs) > 0 {
		w.tick()
	}
}

// tick evaluates everything on both sides until nothing follows from it: earlier observations may answer a round, and a
// round's end may show that a vantage is isolated.
func (w *chaos) tick() {
	for asked, ended := true, false; asked || ended; {
		asked, ended = w.give(judge.Input{})
	}
}

// give passes an input to both sides, and reports whether rounds opened or ended.
func (w *chaos) give(in judge.Input) (asked, ended bool) {
	w.sequence++
	in.Sequence, in.At = w.sequence, epoch.Add(w.at)
	out := w.judge.Step(in)
	was := w.reference.closings
	w.reference.receive(in)
	for _, ask := range out.Asks {
		w.log = append(w.log, fmt.Sprintf("%v round %d of %s since %v", w.at, ask.Round, ask.Host,
			ask.Since.Sub(epoch)))
		w.asks = append(slices.DeleteFunc(w.asks, func(a mesh.RoundRequest) bool { return a.Host == ask.Host }), ask)
		w.reference.asked(ask)
	}
	return len(out.Asks) > 0, w.reference.closings > was
}

func (w *chaos) compare(seen map[mesh.Verdict]int) {
	for _, h := range w.judge.Snapshot().Hosts {
		for _, c := range h.Checks {
			want := w.reference.target(mesh.Key(h.Name), c.Name).verdict
			if seen[want]++; c.Verdict == want {
				continue
			}
			for _, line := range w.log {
				w.t.Log(line)
			}
			for _, v := range c.Votes {
				w.t.Logf("%s %v %s", v.Region, v.Vote, v.Why)
			}
			w.t.Fatalf("at %v the judge says %s/%s is %s (%s), and the reference %s", w.at, h.Name, c.Name, c.Verdict,
				c.Rule, want)
		}
	}
}

// TestReferenceAgrees: the judge and the reference reach the same verdict of every check at every time.
func TestReferenceAgrees(t *testing.T) {
	seen, filtered, shared := map[mesh.Verdict]int{}, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(t)
		defer func() { filtered, shared = filtered+w.reference.filtered, shared+len(w.reference.shared) }()
		w.begin()
		for range rapid.IntRange(15+len(w.crashes)*10, 45).Draw(t, "steps") {
			w.step(seen)
		}
		for range rapid.SampledFrom([]int{0, 0, 0, 20}).Draw(t, "silent steps") {
			w.at += 2 * time.Second
			w.tick()
			w.compare(seen)
		}
	})
	t.Logf("verdicts: %v; %d pings left down as filtered; %d identities were shared", seen, filtered, shared)
	if shared == 0 {
		t.Error("two agents never used one identity")
	}
	if filtered == 0 {
		t.Error("no ping left down filtered")
	}
	for _, v := range []mesh.Verdict{mesh.Up, mesh.Down, mesh.Partial, mesh.Unknown, mesh.Pending} {
		if seen[v] == 0 {
			t.Errorf("no history led to %s, so that the test does not cover it", v)
		}
	}
}
