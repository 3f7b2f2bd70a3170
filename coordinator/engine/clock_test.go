package engine_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// steps are what an operator or NTP does to the server's clock.
var steps = map[string]time.Duration{"back": -10 * time.Minute, "forward": 10 * time.Minute}

func (w *world) step(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stepped += by
}

// outage returns how long NC1 was down, as published, and when that began by the wall clock.
func outage(t *testing.T, e *node.Core) (lasted time.Duration, began time.Time) {
	t.Helper()
	ts, err := e.History.Transitions(t.Context(), "nc1", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var down mesh.Transition
	for _, tr := range ts {
		if tr.Verdict == mesh.Down {
			down = tr
		} else if tr.Was == mesh.Down {
			lasted = tr.Began.Add(tr.Offset).Sub(down.Began.Add(down.Offset))
		}
	}
	return lasted, down.Began
}

// downSeconds returns how long NC1 was down in the last hour, and checks that its check and itself say the same.
func downSeconds(t *testing.T, e *node.Core, c *catalog.Catalog) int64 {
	t.Helper()
	report, err := e.History.Uptime(t.Context(), c, sla.Query{
		Include: func(host string) bool { return host == "nc1" },
		From:    time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour),
	})
	if err != nil || len(report.Rows) != 2 || report.Rows[0].Check != "" || report.To.After(time.Now()) {
		t.Fatalf("%+v (%v)", report, err)
	}
	host, check := report.Rows[0].Seconds, report.Rows[1].Seconds
	if host != check || host.Total() < 3000 || host.Up < 20 || host.NoData < 3000 {
		t.Errorf("the host %+v, its check %+v", host, check)
	}
	return check.Down
}

// The server's clock is stepped while the coordinator runs: no host goes down by that, and an outage has its true
// length.
func TestTheClockIsSteppedWhileRunning(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := newWorld(t), fourHosts(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: c})
				enrollAll(t, e)
				w.observe(t, c, mesh.Reachable, 30*time.Second)
				w.step(step)
				w.observe(t, c, mesh.Reachable, 30*time.Second)
				wantVerdicts(t, e, mesh.Up)

				began := time.Now().Add(step)
				w.observe(t, c, mesh.Unreachable, 20*time.Second)
				wantVerdicts(t, e, mesh.Up, mesh.Down)
				if status(e) != mesh.MajorOutage {
					t.Errorf("the host is shown as %s", status(e))
				}
				w.step(-step) // and back again during the outage
				w.observe(t, c, mesh.Unreachable, 40*time.Second)
				w.observe(t, c, mesh.Reachable, 20*time.Second)
				wantVerdicts(t, e, mesh.Up, mesh.Down, mesh.Up)
				lasted, shown := outage(t, e)
				if (lasted - time.Minute).Abs() > 3*time.Second {
					t.Errorf("an outage of a minute lasted %v", lasted)
				}
				if down := downSeconds(t, e, c); down < 57 || down > 63 {
					t.Errorf("an outage of a minute is %d s of downtime", down)
				}
				if shown.Sub(began).Abs() > time.Second {
					t.Errorf("it began at %v by the server's clock, and is shown as %v", began, shown)
				}
				if _, s := e.Engine.Current(); time.Until(s.At).Abs() > 3*time.Second {
					t.Errorf("the snapshot is of %v at %v", s.At, time.Now())
				}
				mustStop(t, stop)
			})
		})
	}
}

// The clock is stepped between two starts, so that the newest messages of the stream are from the future or long ago.
func TestTheClockIsSteppedBetweenTwoStarts(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := newWorld(t), fourHosts(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: c})
				enrollAll(t, e)
				w.observe(t, c, mesh.Reachable, 30*time.Second)
				wantVerdicts(t, e, mesh.Up)
				mustStop(t, stop)

				w.step(step)
				time.Sleep(5 * time.Second)
				e, stop = w.run(t, node.CoreConfig{Catalog: c})
				w.observe(t, c, mesh.Reachable, 10*time.Second)
				wantVerdicts(t, e, mesh.Up)
				if status(e) != mesh.Operational {
					t.Errorf("after the restart it is %s", status(e))
				}
				w.observe(t, c, mesh.Unreachable, 20*time.Second)
				wantVerdicts(t, e, mesh.Up, mesh.Down)
				mustStop(t, stop)

				e, stop = w.run(t, node.CoreConfig{Catalog: c})
				w.observe(t, c, mesh.Unreachable, 10*time.Second)
				wantVerdicts(t, e, mesh.Up, mesh.Down)
				w.observe(t, c, mesh.Reachable, 20*time.Second)
				wantVerdicts(t, e, mesh.Up, mesh.Down, mesh.Up)
				if lasted, _ := outage(t, e); (lasted - 30*time.Second).Abs() > 3*time.Second {
					t.Errorf("an outage of half a minute lasted %v", lasted)
				}
				mustStop(t, stop)
			})
		})
	}
}

// A coordinator that starts after a step replays what the previous one judged, and publishes nothing again.
func TestARestartAfterAStepKeepsTheHistory(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := newWorld(t), fourHosts(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: c})
				enrollAll(t, e)
				w.observe(t, c, mesh.Reachable, time.Minute)
				w.step(step)
				w.observe(t, c, mesh.Unreachable, 30*time.Second)
				before, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
				if err != nil {
					t.Fatal(err)
				}
				mustStop(t, stop)
				e, stop = w.run(t, node.CoreConfig{Catalog: c})
				w.observe(t, c, mesh.Unreachable, 30*time.Second)
				after, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
				if diff := cmp.Diff(before, after); diff != "" || err != nil {
					t.Errorf("the history differs: %s (%v)", diff, err)
				}
				mustStop(t, stop)
			})
		})
	}
}

// A pause of the stream while the coordinator runs is no step of the clock.
func TestAPauseWhileRunningIsNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 30*time.Second)
		w.pauseMarks(true)
		time.Sleep(5 * time.Minute)
		w.pauseMarks(false)
		w.observe(t, c, mesh.Reachable, 30*time.Second)
		wantVerdicts(t, e, mesh.Up)
		if _, s := e.Engine.Current(); s.Offset != 0 {
			t.Errorf("the offset is %v", s.Offset)
		}
		mustStop(t, stop)
	})
}

// pauseMarks makes the stream refuse the leader's marks, or accept them again.
func (w *world) pauseMarks(refused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused["clock"], w.refused["tick"] = 0, 0
	if refused {
		w.refused["clock"], w.refused["tick"] = 1<<30, 1<<30
	}
}

// `explain --at` takes a time of the server's clock; the later moment, if the clock showed it twice.
func TestPastMomentsAreNamedByTheWallClock(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := newWorld(t), fourHosts(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: c})
				enrollAll(t, e)
				w.observe(t, c, mesh.Reachable, 2*time.Minute)
				first := time.Now()
				w.observe(t, c, mesh.Unreachable, 2*time.Minute)
				w.step(step)
				w.observe(t, c, mesh.Reachable, 2*time.Minute)
				second := time.Now().Add(step) // by the clock of then: later than now, or before
				w.observe(t, c, mesh.Unreachable, 2*time.Minute)
				w.observe(t, c, mesh.Reachable, time.Minute)
				for _, at := range []struct {
					wall time.Time
					want mesh.Status
				}{
					{first.Add(-time.Minute), mesh.Operational}, {first.Add(time.Minute), mesh.MajorOutage},
					{second.Add(-time.Minute), mesh.Operational}, {second.Add(time.Minute), mesh.MajorOutage},
					{second.Add(150 * time.Second), mesh.Operational},
				} {
					_, s, err := e.Replayer.At(t.Context(), at.wall)
					if err != nil {
						t.Fatal(err)
					}
					if s.Hosts[0].Status != at.want || s.At.Sub(at.wall).Abs() > 3*time.Second {
						t.Errorf("at %v it was %s as of %v; wanted %s", at.wall, s.Hosts[0].Status, s.At, at.want)
					}
				}
				mustStop(t, stop)
			})
		})
	}
}

// A stream that is recreated after the clock was stepped back continues at the ledger's mesh time.
func TestARecreatedStreamIsJudgedAfterAStepBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		time.Sleep(15 * time.Minute) // it has more messages than the next one
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		mustStop(t, stop)
		w.messages = nil
		w.step(-10 * time.Minute)
		e, stop = w.run(t, node.CoreConfig{Catalog: c})
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		wantVerdicts(t, e, mesh.Up, mesh.Down)
		mustStop(t, stop)
	})
}

// A token is valid only if it was made after its host's agent was revoked: both moments are mesh time.
func TestARevocationAfterAStepBackIsLaterThanWhatPrecededIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 10*time.Second)
		before := e.Clock.MeshTime()
		w.step(-10 * time.Minute)
		w.observe(t, c, mesh.Reachable, 10*time.Second)
		if err := e.Members.Revoked(t.Context(), "nc4", "K"); err != nil {
			t.Fatal(err)
		}
		agent, err := e.Members.Agent(t.Context(), "nc4")
		if err != nil || !agent.Revoked.After(before) {
			t.Errorf("a token of %v is from before the revocation at %v (%v)", before, agent.Revoked, err)
		}
		mustStop(t, stop)
	})
}

// Whatever happened and however the clock was stepped, a restart publishes nothing again and forgets nothing, also if
// the clock is stepped while the coordinator is down.
func TestARestartAfterAnyStepsKeepsTheHistory(t *testing.T) {
	for seed := range pasts(1000) {
		synctest.Test(t, func(t *testing.T) {
			w, c, past := newWorld(t), fourHosts(t), rapid.Custom(randomPast).Example(seed)
			steps := rapid.SliceOfN(rapid.IntRange(-1800, 1800), len(past)+1, len(past)+1).Example(seed)
			e, stop := w.run(t, node.CoreConfig{Catalog: c})
			enrollAll(t, e)
			for i, p := range past {
				if d := time.Duration(p.Seconds) * time.Second; p.Silent {
					time.Sleep(d)
				} else {
					w.observe(t, c, p.Outcome, d)
				}
				if i < len(past)-1 {
					w.step(time.Duration(steps[i]) * time.Second)
				}
			}
			time.Sleep(200 * time.Millisecond)
			before, was := verdicts(t, e), status(e)
			mustStop(t, stop)
			time.Sleep(time.Duration(seed%5) * time.Second)
			w.step(time.Duration(steps[len(past)]) * time.Second)
			e, stop = w.run(t, node.CoreConfig{Catalog: c})
			for !e.Engine.Ready() {
				time.Sleep(10 * time.Millisecond)
			}
			if after := verdicts(t, e); !slices.Equal(before, after) || status(e) != was {
				t.Errorf("%d: %v with steps of %v: %v and %s became %v and %s", seed, past, steps, before, was, after, status(e))
			}
			mustStop(t, stop)
		})
	}
}
