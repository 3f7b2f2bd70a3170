package engine_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// moved is the catalog with NC1 at another address: another question.
func moved(t *testing.T) *catalog.Catalog {
	c := newCatalog(t)
	c.Hosts[0].Addresses = []string{"192.0.2.99"}
	catalog.Seal(c)
	return c
}

func want(t *testing.T, e *node.Core, history ...mesh.Verdict) {
	t.Helper()
	if diff := cmp.Diff(history, verdicts(t, e)); diff != "" {
		t.Errorf("the ledger differs: %s", diff)
	}
}

func end(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAFailureWhileAwayIsPublishedWithItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		end(t, stop)

		began := time.Now()
		w.see(t, c, mesh.Unreachable, 30*time.Second)
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.see(t, c, mesh.Unreachable, 10*time.Second)
		want(t, e, mesh.Up, mesh.Down)
		ts, _ := e.History.Transitions(t.Context(), "nc1", time.Time{}, 100)
		if off := ts[len(ts)-1].Began.Sub(began).Abs(); off > time.Second {
			t.Errorf("its beginning is off by %s", off)
		}
		end(t, stop)

		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.see(t, c, mesh.Unreachable, 10*time.Second)
		want(t, e, mesh.Up, mesh.Down)
		if status(e) != mesh.MajorOutage {
			t.Errorf("after a restart the host is %s", status(e))
		}
		end(t, stop)
	})
}

func TestAReplayIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		w.see(t, c, mesh.Unreachable, 20*time.Second)
		if status(e) != mesh.MajorOutage {
			t.Fatal(status(e))
		}
		w.see(t, c, mesh.Reachable, time.Minute)
		end(t, stop)

		w.slow(20 * time.Millisecond)
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		for !e.Engine.Ready() {
			if got := status(e); got != mesh.Operational {
				t.Errorf("during the replay the host is shown as %s", got)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		want(t, e, mesh.Up, mesh.Down, mesh.Up)
		end(t, stop)
	})
}

// A stream of observations that is lost begins at 1 again, long before what the ledger was decided at.
func TestAStreamMadeAnewIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		time.Sleep(10 * time.Minute)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		end(t, stop)

		w.messages = nil
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.see(t, c, mesh.Reachable, 20*time.Second)
		w.see(t, c, mesh.Unreachable, 20*time.Second)
		want(t, e, mesh.Up, mesh.Down)
		end(t, stop)
	})
}

// A catalog that moves a host to a wrong address changes the question: nobody was ever answered there, so it is no outage,
// whenever the coordinator is restarted.
func TestATypingMistakeIsNoOutageAcrossARestart(t *testing.T) {
	for name, story := range map[string]struct {
		live, away time.Duration // how long the change is in force before the restart; how long that takes
	}{
		"changed while away":             {0, time.Minute},
		"changed while long away":        {0, 20 * time.Minute},
		"changed just before":            {30 * time.Second, 10 * time.Second},
		"changed before":                 {10 * time.Minute, 10 * time.Second},
		"changed long before the replay": {20 * time.Minute, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, old, next := newWorld(t), newCatalog(t), moved(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: old})
				enrol(t, e)
				w.see(t, old, mesh.Reachable, 5*time.Minute)
				if story.live > 0 {
					if _, err := e.Catalogs.Apply(t.Context(), next, "test", false); err != nil {
						t.Fatal(err)
					}
					w.see(t, next, mesh.Unreachable, story.live)
				}
				end(t, stop)
				time.Sleep(story.away)
				e, stop = w.run(t, node.CoreConfig{Catalog: next})
				if story.live == 0 {
					w.see(t, old, mesh.Reachable, 30*time.Second) // agents that have not heard of it yet
				}
				w.see(t, next, mesh.Unreachable, 2*time.Minute)
				if status(e) != mesh.StatusUnknown {
					t.Errorf("a wrong address is shown as %s", status(e))
				}
				want(t, e, mesh.Up, "") // and then, that what is asked changed
				w.see(t, next, mesh.Reachable, 30*time.Second)
				want(t, e, mesh.Up, "", mesh.Up)
				end(t, stop)
			})
		})
	}
}

func TestWhatIsShownAtFirstIsByTheCatalogInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		end(t, stop)
		for _, next := range []*catalog.Catalog{c, moved(t)} {
			e, book, err := w.open(t, node.CoreConfig{Catalog: next})
			if err != nil {
				t.Fatal(err)
			}
			shown, s := e.Engine.Current()
			if shown.Revision != next.Revision || s.Revision != next.Revision {
				t.Errorf("in force is %s, shown %s with verdicts by %s", next.Revision, shown.Revision, s.Revision)
			}
			if got := s.Hosts[0].Status == mesh.Operational; got != (next == c) {
				t.Errorf("by %s the host is %s", next.Revision, s.Hosts[0].Status)
			}
			book.Close()
		}
	})
}

// phase is a time in which the agents see the same, or are all silent.
type phase struct {
	Silent  bool
	Outcome mesh.Outcome
	Seconds int
}

// rough draws a past. Its last phase settles, so that nothing is due while the coordinator is away.
func rough(r *rapid.T) []phase {
	outcome := rapid.SampledFrom([]mesh.Outcome{mesh.Reachable, mesh.Unreachable})
	phases := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) phase {
		return phase{Silent: rapid.IntRange(0, 4).Draw(r, "silent") == 0, Outcome: outcome.Draw(r, "outcome"), Seconds: rapid.IntRange(1, 90).Draw(r, "seconds")}
	}), 1, 6).Draw(r, "phases")
	return append(phases, phase{Outcome: outcome.Draw(r, "last"), Seconds: 30})
}

// However rough the past, a restart says nothing of it again and forgets nothing.
func TestARestartAtAnyMomentKeepsTheHistory(t *testing.T) {
	pasts := 25
	if os.Getenv("PROBEMESH_LONG") == "1" {
		pasts = 2000
	}
	for seed := range pasts {
		synctest.Test(t, func(t *testing.T) {
			w, c, past := newWorld(t), newCatalog(t), rapid.Custom(rough).Example(seed)
			e, stop := w.run(t, node.CoreConfig{Catalog: c})
			enrol(t, e)
			for _, p := range past {
				if d := time.Duration(p.Seconds) * time.Second; p.Silent {
					time.Sleep(d)
				} else {
					w.see(t, c, p.Outcome, d)
				}
			}
			time.Sleep(200 * time.Millisecond)
			before, was := verdicts(t, e), status(e)
			end(t, stop)
			time.Sleep(time.Duration(seed%5) * time.Second)
			e, stop = w.run(t, node.CoreConfig{Catalog: c})
			for !e.Engine.Ready() {
				time.Sleep(10 * time.Millisecond)
			}
			if after := verdicts(t, e); !slices.Equal(before, after) || status(e) != was {
				t.Errorf("%v: %v and %s became %v and %s", past, before, was, after, status(e))
			}
			end(t, stop)
		})
	}
}

func TestRunEndsWhereAgentsCannotBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deaf = true
		e, book, err := w.open(t, node.CoreConfig{Catalog: newCatalog(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer book.Close()
		ended := make(chan error, 1)
		go func() { ended <- e.Run(t.Context()) }()
		select {
		case err := <-ended:
			if !errors.Is(err, errRefused) {
				t.Error(err)
			}
		case <-time.After(time.Hour):
			t.Error("Run hangs")
		}
	})
}

// large is a catalog with more hosts, HOST0 and so on.
func large(t *testing.T, hosts int) *catalog.Catalog {
	c := newCatalog(t)
	for i := range hosts {
		h := c.Hosts[0]
		h.Name = fmt.Sprintf("HOST%d", i)
		c.Hosts = append(c.Hosts, h)
	}
	catalog.Seal(c)
	return c
}

func TestMoreChangesAtOnceThanTheServerTakesAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts = 1001
		w, c := newWorld(t), large(t, hosts)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		var names []string
		for i := range hosts {
			names = append(names, fmt.Sprintf("host%d", i))
		}
		w.sayOf(t, c, mesh.Reachable, names...)
		time.Sleep(150 * time.Millisecond)
		got, err := e.History.Transitions(t.Context(), "", time.Time{}, 10*hosts)
		if err != nil || len(got) != hosts || got[0].Sequence != got[hosts-1].Sequence {
			t.Errorf("of %d hosts that turned up at once the ledger has %d, %v", hosts, len(got), err)
		}
		end(t, stop)
	})
}

func TestWhatCannotBeReadIsCountedAndLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.say(t, c, mesh.Reachable)
		w.mu.Lock()
		forged := w.messages[len(w.messages)-1]
		w.mu.Unlock()
		forged.Agent = "nc2" // and the batch says nc4
		w.put(forged)
		w.put(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: func(string) string { return "" }, Data: []byte("{")})
		w.put(bus.Message{Kind: bus.RosterMark, Data: []byte("?")})
		w.put(bus.Message{Kind: bus.CatalogMark, Data: []byte("never in force")})
		time.Sleep(time.Second)
		if n := e.Engine.Counters()["rejected"]; n != 4 {
			t.Errorf("%d rejected", n)
		}
		want(t, e, mesh.Up)
		end(t, stop)
	})
}

func TestChangesComeAtMostTenASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts = 200
		w, c := newWorld(t), large(t, hosts)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		time.Sleep(time.Second)
		shown := map[uint64]bool{}
		began := time.Now()
		for i := range hosts { // each turns up, and that is published
			w.sayOf(t, c, mesh.Reachable, fmt.Sprintf("host%d", i))
			time.Sleep(10 * time.Millisecond)
			_, s := e.Engine.Current()
			shown[s.Sequence] = true
		}
		if most := int(time.Since(began)/(100*time.Millisecond)) + 2; len(shown) > most {
			t.Errorf("%d changes in %s", len(shown), time.Since(began))
		}
		time.Sleep(time.Second)
		if _, s := e.Engine.Current(); s.Hosts[len(s.Hosts)-1].Status != mesh.Operational {
			t.Errorf("the last change is not shown: %s", s.Hosts[len(s.Hosts)-1].Status)
		}
		end(t, stop)
	})
}

func TestWhatIsShownGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		time.Sleep(5 * time.Second)
		w.slow(500 * time.Millisecond)
		for range 4 {
			w.put(bus.Message{Kind: bus.Tick})
		}
		if _, err := e.Catalogs.Apply(t.Context(), moved(t), "test", false); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if c, s := e.Engine.Current(); c.Revision != s.Revision {
				t.Fatalf("shown are the catalog %s and verdicts by %s", c.Revision, s.Revision)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if c, _ := e.Engine.Current(); c.Revision != moved(t).Revision {
			t.Error("the catalog is not shown")
		}
		end(t, stop)
	})
}

func TestNothingIsShownThatIsNotInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		w.mu.Lock()
		w.broken = errRefused
		w.mu.Unlock()
		w.see(t, c, mesh.Unreachable, 20*time.Second)
		if status(e) != mesh.Operational {
			t.Errorf("shown as %s before the ledger has it", status(e))
		}
		w.mu.Lock()
		w.broken = nil
		w.mu.Unlock()
		w.see(t, c, mesh.Unreachable, 20*time.Second)
		want(t, e, mesh.Up, mesh.Down)
		if status(e) != mesh.MajorOutage {
			t.Error(status(e))
		}
		end(t, stop)
	})
}
