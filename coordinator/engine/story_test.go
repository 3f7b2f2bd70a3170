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
	"github.com/probemesh/probemesh/pkg/testenv"
)

// readdressed is the catalog with NC1 at another address, so that its checks ask something else.
func readdressed(t *testing.T) *catalog.Catalog {
	c := fourHosts(t)
	c.Hosts[0].Addresses = []string{"192.0.2.99"}
	catalog.Seal(c)
	return c
}

func wantVerdicts(t *testing.T, e *node.Core, history ...mesh.Verdict) {
	t.Helper()
	if diff := cmp.Diff(history, verdicts(t, e)); diff != "" {
		t.Errorf("the ledger differs: %s", diff)
	}
}

func mustStop(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAFailureDuringDowntimeIsPublishedWithItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		mustStop(t, stop)

		began := time.Now()
		w.observe(t, c, mesh.Unreachable, 30*time.Second)
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.observe(t, c, mesh.Unreachable, 10*time.Second)
		wantVerdicts(t, e, mesh.Up, mesh.Down)
		ts, _ := e.History.Transitions(t.Context(), "nc1", time.Time{}, 100)
		if off := ts[len(ts)-1].Began.Sub(began).Abs(); off > time.Second {
			t.Errorf("its beginning is off by %s", off)
		}
		mustStop(t, stop)

		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.observe(t, c, mesh.Unreachable, 10*time.Second)
		wantVerdicts(t, e, mesh.Up, mesh.Down)
		if status(e) != mesh.MajorOutage {
			t.Errorf("after a restart the host is %s", status(e))
		}
		mustStop(t, stop)
	})
}

func TestAReplayIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		if status(e) != mesh.MajorOutage {
			t.Fatal(status(e))
		}
		w.observe(t, c, mesh.Reachable, time.Minute)
		mustStop(t, stop)

		w.delay(20 * time.Millisecond)
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		for !e.Engine.Ready() {
			if got := status(e); got != mesh.Operational {
				t.Errorf("during the replay the host is shown as %s", got)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		wantVerdicts(t, e, mesh.Up, mesh.Down, mesh.Up)
		mustStop(t, stop)
	})
}

// A recreated stream of observations counts from 1 again, long before the sequence that the ledger was judged up to.
func TestARecreatedStreamIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		time.Sleep(10 * time.Minute)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		mustStop(t, stop)

		w.messages = nil
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		wantVerdicts(t, e, mesh.Up, mesh.Down)
		mustStop(t, stop)
	})
}

// A catalog that gives a host a wrong address changes what its checks ask. Nothing ever answered there, so it is no
// outage, whenever the coordinator is restarted.
func TestATypingMistakeIsNoOutageAcrossARestart(t *testing.T) {
	for name, story := range map[string]struct {
		live, down time.Duration // how long the change is in force before the restart; how long the restart takes
	}{
		"changed while down":             {0, time.Minute},
		"changed while down for long":    {0, 20 * time.Minute},
		"changed just before":            {30 * time.Second, 10 * time.Second},
		"changed before":                 {10 * time.Minute, 10 * time.Second},
		"changed long before the replay": {20 * time.Minute, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, old, next := newWorld(t), fourHosts(t), readdressed(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: old})
				enrollAll(t, e)
				w.observe(t, old, mesh.Reachable, 5*time.Minute)
				if story.live > 0 {
					if _, err := e.Catalogs.Apply(t.Context(), next, "test", false); err != nil {
						t.Fatal(err)
					}
					w.observe(t, next, mesh.Unreachable, story.live)
				}
				mustStop(t, stop)
				time.Sleep(story.down)
				e, stop = w.run(t, node.CoreConfig{Catalog: next})
				if story.live == 0 {
					w.observe(t, old, mesh.Reachable, 30*time.Second) // agents that do not have the new catalog yet
				}
				w.observe(t, next, mesh.Unreachable, 2*time.Minute)
				if status(e) != mesh.StatusUnknown {
					t.Errorf("a wrong address is shown as %s", status(e))
				}
				wantVerdicts(t, e, mesh.Up, "") // the second: what is asked changed
				w.observe(t, next, mesh.Reachable, 30*time.Second)
				wantVerdicts(t, e, mesh.Up, "", mesh.Up)
				mustStop(t, stop)
			})
		})
	}
}

func TestTheFirstSnapshotIsByTheCatalogInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		mustStop(t, stop)
		for _, next := range []*catalog.Catalog{c, readdressed(t)} {
			e, v, err := w.open(t, node.CoreConfig{Catalog: next})
			if err != nil {
				t.Fatal(err)
			}
			shown, s := e.Engine.Current()
			if shown.Revision != next.Revision || s.Revision != next.Revision {
				t.Errorf("%s is in force, and shown are %s and verdicts by %s", next.Revision, shown.Revision, s.Revision)
			}
			if got := s.Hosts[0].Status == mesh.Operational; got != (next == c) {
				t.Errorf("by %s the host is %s", next.Revision, s.Hosts[0].Status)
			}
			v.Close()
		}
	})
}

// phase is a time in which all agents observe the same, or are silent.
type phase struct {
	Silent  bool
	Outcome mesh.Outcome
	Seconds int
}

// randomPast draws phases. The last one is long enough that nothing is due while the coordinator is down.
func randomPast(r *rapid.T) []phase {
	outcome := rapid.SampledFrom([]mesh.Outcome{mesh.Reachable, mesh.Unreachable})
	phases := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) phase {
		return phase{
			Silent:  rapid.IntRange(0, 4).Draw(r, "silent") == 0,
			Outcome: outcome.Draw(r, "outcome"),
			Seconds: rapid.IntRange(1, 90).Draw(r, "seconds"),
		}
	}), 1, 6).Draw(r, "phases")
	return append(phases, phase{Outcome: outcome.Draw(r, "last"), Seconds: 30})
}

// pasts returns how many pasts a property is tried with: few in a short run, and a tenth under the race detector, as
// the goroutines of all are the same and the plain run tries them all.
func pasts(most int) int {
	switch {
	case os.Getenv("PROBEMESH_LONG") != "1":
		return 25
	case testenv.Race:
		return most / 10
	}
	return most
}

// Whatever happened, a restart publishes nothing again and forgets nothing.
func TestARestartAtAnyMomentKeepsTheHistory(t *testing.T) {
	for seed := range pasts(2000) {
		synctest.Test(t, func(t *testing.T) {
			w, c, past := newWorld(t), fourHosts(t), rapid.Custom(randomPast).Example(seed)
			e, stop := w.run(t, node.CoreConfig{Catalog: c})
			enrollAll(t, e)
			for _, p := range past {
				if d := time.Duration(p.Seconds) * time.Second; p.Silent {
					time.Sleep(d)
				} else {
					w.observe(t, c, p.Outcome, d)
				}
			}
			time.Sleep(200 * time.Millisecond)
			before, was := verdicts(t, e), status(e)
			mustStop(t, stop)
			time.Sleep(time.Duration(seed%5) * time.Second)
			e, stop = w.run(t, node.CoreConfig{Catalog: c})
			for !e.Engine.Ready() {
				time.Sleep(10 * time.Millisecond)
			}
			if after := verdicts(t, e); !slices.Equal(before, after) || status(e) != was {
				t.Errorf("%v: %v and %s became %v and %s", past, before, was, after, status(e))
			}
			mustStop(t, stop)
		})
	}
}

func TestRunEndsIfAgentsCannotBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answersFail = true
		e, v, err := w.open(t, node.CoreConfig{Catalog: fourHosts(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
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

// withoutIDs returns copies of checks that are checks of their own.
func withoutIDs(checks []catalog.Check) []catalog.Check {
	checks = slices.Clone(checks)
	for i := range checks {
		checks[i].ID = ""
	}
	return checks
}

// manyHosts is the catalog with more hosts, HOST0 and so on.
func manyHosts(t *testing.T, hosts int) *catalog.Catalog {
	c := fourHosts(t)
	for i := range hosts {
		h := c.Hosts[0]
		h.ID, h.Name = "", fmt.Sprintf("HOST%d", i) // each is a host of its own, with checks of its own
		h.Checks = withoutIDs(h.Checks)
		c.Hosts = append(c.Hosts, h)
	}
	catalog.Seal(c)
	return c
}

func TestMoreTransitionsAtOnceThanTheServerStoresInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts = 1001
		w, c := newWorld(t), manyHosts(t, hosts)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		var names []string
		for i := range hosts {
			names = append(names, fmt.Sprintf("host%d", i))
		}
		w.publishOf(t, c, mesh.Reachable, names...)
		time.Sleep(150 * time.Millisecond)
		got, err := e.History.Transitions(t.Context(), "", time.Time{}, 10*hosts)
		if err != nil || len(got) != hosts || got[0].Sequence != got[hosts-1].Sequence {
			t.Errorf("the ledger has the transitions of %d hosts, want %d (%v)", len(got), hosts, err)
		}
		mustStop(t, stop)
	})
}

func TestUnreadableMessagesAreCountedAndLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.publishAll(t, c, mesh.Reachable)
		w.mu.Lock()
		forged := w.messages[len(w.messages)-1]
		w.mu.Unlock()
		forged.Agent = "nc2" // but the batch names nc4
		w.store(forged)
		w.store(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: func(string) string { return "" }, Data: []byte("{")})
		w.store(bus.Message{Kind: bus.RosterMark, Data: []byte("?")})
		w.store(bus.Message{Kind: bus.CatalogMark, Data: []byte("never in force")})
		time.Sleep(time.Second)
		if n := e.Engine.Counters()["rejected"]; n != 4 {
			t.Errorf("%d rejected", n)
		}
		wantVerdicts(t, e, mesh.Up)
		mustStop(t, stop)
	})
}

func TestSnapshotsChangeAtMostTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts = 200
		w, c := newWorld(t), manyHosts(t, hosts)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		time.Sleep(time.Second)
		shown := map[uint64]bool{}
		began := time.Now()
		for i := range hosts { // each comes up, which is published
			w.publishOf(t, c, mesh.Reachable, fmt.Sprintf("host%d", i))
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
		mustStop(t, stop)
	})
}

func TestTheCatalogAndTheSnapshotBelongTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		time.Sleep(5 * time.Second)
		w.delay(500 * time.Millisecond)
		for range 4 {
			w.store(bus.Message{Kind: bus.Tick})
		}
		if _, err := e.Catalogs.Apply(t.Context(), readdressed(t), "test", false); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if c, s := e.Engine.Current(); c.Revision != s.Revision {
				t.Fatalf("shown are catalog %s and verdicts by %s", c.Revision, s.Revision)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if c, _ := e.Engine.Current(); c.Revision != readdressed(t).Revision {
			t.Error("the catalog is not shown")
		}
		mustStop(t, stop)
	})
}

func TestVerdictsAreStoredBeforeTheyAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		w.mu.Lock()
		w.ledgerError = errRefused
		w.mu.Unlock()
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		if status(e) != mesh.Operational {
			t.Errorf("shown as %s before the ledger has it", status(e))
		}
		w.mu.Lock()
		w.ledgerError = nil
		w.mu.Unlock()
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		wantVerdicts(t, e, mesh.Up, mesh.Down)
		if status(e) != mesh.MajorOutage {
			t.Error(status(e))
		}
		mustStop(t, stop)
	})
}
