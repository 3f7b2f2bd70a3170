package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// secondsOf returns how long NC1 was what in the last hours.
func secondsOf(t *testing.T, e *node.Core, c *catalog.Catalog, hours time.Duration) sla.Times {
	t.Helper()
	report, err := e.History.Uptime(t.Context(), c, sla.Query{
		Include: func(host string) bool { return host == "nc1" }, From: time.Now().Add(-hours * time.Hour), To: time.Now(),
	})
	if err != nil || len(report.Rows) != 2 || report.Rows[0].Seconds != report.Rows[1].Seconds {
		t.Fatalf("%+v (%v)", report, err)
	}
	return report.Rows[0].Seconds
}

// pauses counts the pauses in the ledger.
func (w *world) pauses() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.records {
		if r.Subject == "pause" {
			n++
		}
	}
	return n
}

// A host was up before and after a time in which the coordinator was off, or NATS away: in between nobody knows.
func TestATimeThatNobodyJudgedIsNoData(t *testing.T) {
	for name, test := range map[string]struct {
		stop, empty bool
		lasted      time.Duration
	}{
		"the coordinator is off": {stop: true, lasted: time.Hour}, "the stream stands": {lasted: time.Hour},
		"the observations aged out": {stop: true, empty: true, lasted: 60 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := newWorld(t), fourHosts(t)
				e, stop := w.run(t, node.CoreConfig{Catalog: c})
				enrollAll(t, e)
				w.observe(t, c, mesh.Reachable, 10*time.Minute)
				w.pauseMarks(true)
				if test.stop {
					mustStop(t, stop)
				}
				time.Sleep(test.lasted)
				w.pauseMarks(false)
				if test.empty {
					w.mu.Lock()
					w.messages = nil
					w.mu.Unlock()
				}
				if test.stop {
					_, stop = w.run(t, node.CoreConfig{Catalog: c})
				}
				w.observe(t, c, mesh.Reachable, 2*time.Minute)
				mustStop(t, stop)
				e, stop = w.run(t, node.CoreConfig{Catalog: c}) // which replays the pause
				w.observe(t, c, mesh.Reachable, 3*time.Minute)
				got := secondsOf(t, e, c, 100)
				up := int64(15 * 60)
				if test.empty {
					up = 5 * 60 // nothing says how long after its newest transition the mesh was judged
				}
				if got.Up < up-60 || got.Up > up+60 || got.Down+got.Partial != 0 {
					t.Errorf("%+v, of which %d s were judged", got, up)
				}
				if n := w.pauses(); n != 1 {
					t.Errorf("%d pauses are in the ledger", n)
				}
				mustStop(t, stop)
			})
		})
	}
}

// A short silence, as while the servers elect a leader, is none.
func TestAShortSilenceIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		defer stop()
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, time.Minute)
		w.pauseMarks(true)
		time.Sleep(15 * time.Second)
		w.pauseMarks(false)
		w.observe(t, c, mesh.Reachable, time.Minute)
		if got := secondsOf(t, e, c, 1); w.pauses() != 0 || got.Up < 120 {
			t.Errorf("%d pauses, %+v", w.pauses(), got)
		}
	})
}
