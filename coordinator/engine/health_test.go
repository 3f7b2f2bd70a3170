package engine_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// logBuffer collects a log.
type logBuffer struct{ testenv.Log }

// count counts the lines of the log that contain all the parts.
func (w *logBuffer) count(parts ...string) (n int) {
	for line := range strings.Lines(w.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			n++
		}
	}
	return n
}

// reported reports whether operators see that the agent is silent.
func reported(e *node.Core, agent string) bool {
	return slices.ContainsFunc(e.Health.Problems(), func(p string) bool {
		return strings.Contains(p, agent+" ") && strings.Contains(p, "silent agents")
	})
}

// NC1 never reports; the others fall silent, are reported once within a minute, and recover.
func TestASilentAgentIsReportedOncePerSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		w, c := newWorld(t), fourHosts(t)
		w.log = log
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		if reported(e, "NC2") || reported(e, "NC1") {
			t.Error("reported too early:", e.Health.Problems())
		}
		w.observe(t, c, mesh.Reachable, 30*time.Second)
		if !reported(e, "NC1") || reported(e, "NC2") {
			t.Error("an agent that never reported is missing, or others are not:", e.Health.Problems())
		}
		time.Sleep(time.Minute)
		if !reported(e, "NC2") || log.count("agent silent", `"NC2"`) != 1 {
			t.Error("silent for a minute and not reported once:", e.Health.Problems())
		}
		time.Sleep(10 * time.Minute)
		if n := log.count("agent silent", `"NC2"`); n != 1 {
			t.Errorf("one silence is logged %d times", n)
		}
		w.observe(t, c, mesh.Reachable, 10*time.Second)
		if reported(e, "NC2") || log.count("agent recovered", `"NC2"`) != 1 || log.count("agent recovered") != 3 {
			t.Error("an agent recovered and is still reported, or it is not logged once:", e.Health.Problems())
		}
		mustStop(t, stop)
	})
}

func TestAStuckJudgeDoesNotCountAsJudging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), fourHosts(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		synctest.Wait()
		h, err := e.Health.Report(t.Context())
		if err != nil || !h.Judging || h.Behind > 0 || h.ViewBehind > 0 ||
			time.Since(h.Judged) > 3*time.Second || time.Since(h.Tick) > 3*time.Second {
			t.Errorf("a judge that keeps up: %+v %v", h, err)
		}
		w.mu.Lock()
		w.ledgerError = errRefused // the ledger: the loop waits for it with the verdict that it is to write
		w.mu.Unlock()
		w.observe(t, c, mesh.Unreachable, 30*time.Second)
		h, _ = e.Health.Report(t.Context())
		if h.Judging || e.Health.Judging() || h.Behind == 0 {
			t.Errorf("a judge that is stuck: %+v", h)
		}
		w.mu.Lock()
		w.ledgerError = nil
		w.mu.Unlock()
		w.observe(t, c, mesh.Unreachable, 10*time.Second)
		synctest.Wait()
		if h, _ = e.Health.Report(t.Context()); !h.Judging || h.Behind > 0 {
			t.Errorf("a judge that goes on: %+v", h)
		}
		mustStop(t, stop)
	})
}

// One agent floods the stream with unreadable messages. Another agent's unreadable message is logged all the same.
func TestOneAgentsBadMessagesDoNotHideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		w, c := newWorld(t), fourHosts(t)
		w.log = log
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		none := func(string) string { return "" }
		for range 600 {
			w.store(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: none, Data: []byte("{")})
			time.Sleep(100 * time.Millisecond)
		}
		w.store(bus.Message{Kind: bus.Batch, Agent: "nc3", Header: none, Data: []byte("{")})
		time.Sleep(time.Second)
		if n := log.count("message rejected", `"nc3"`); n != 1 {
			t.Errorf("nc3's message is logged %d times", n)
		}
		if n := log.count("message rejected", `"nc2"`); n < 5 || n > 12 {
			t.Errorf("nc2's messages are logged %d times in a minute", n)
		}
		mustStop(t, stop)
	})
}
