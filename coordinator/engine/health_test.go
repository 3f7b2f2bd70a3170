package engine_test

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// words takes a log.
type words struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

// times counts the lines of the log that have all the parts.
func (w *words) times(parts ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.buf.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			n++
		}
	}
	return n
}

func named(e *node.Core, agent string) bool {
	return slices.ContainsFunc(e.Health.Problems(), func(p string) bool { return strings.Contains(p, agent+" ") && strings.Contains(p, "silent agents") })
}

// NC1 never speaks; the others fall silent once, and are named within a minute, once, and again when they speak.
func TestASilentAgentIsNamedOnceASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &words{}
		w, c := newWorld(t), newCatalog(t)
		w.said = said
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		if named(e, "NC2") || named(e, "NC1") {
			t.Error("named too early:", e.Health.Problems())
		}
		w.see(t, c, mesh.Reachable, 30*time.Second)
		if !named(e, "NC1") || named(e, "NC2") {
			t.Error("who was never heard is not named, or others are:", e.Health.Problems())
		}
		time.Sleep(time.Minute)
		if !named(e, "NC2") || said.times("agent silent", `"NC2"`) != 1 {
			t.Error("silent for a minute and not named once:", e.Health.Problems())
		}
		time.Sleep(10 * time.Minute)
		if n := said.times("agent silent", `"NC2"`); n != 1 {
			t.Errorf("one silence is told %d times", n)
		}
		w.see(t, c, mesh.Reachable, 10*time.Second)
		if named(e, "NC2") || said.times("agent recovered", `"NC2"`) != 1 || said.times("agent recovered") != 3 {
			t.Error("who speaks again is named still, or it is not told once:", e.Health.Problems())
		}
		end(t, stop)
	})
}

func TestAStuckJudgeDoesNotCountAsJudging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), newCatalog(t)
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		synctest.Wait()
		h, err := e.Health.Report(t.Context())
		if err != nil || !h.Judging || h.Behind > 0 || h.ViewBehind > 0 || time.Since(h.Judged) > 3*time.Second || time.Since(h.Tick) > 3*time.Second {
			t.Errorf("a judge that keeps up: %+v %v", h, err)
		}
		w.mu.Lock()
		w.broken = errRefused // the ledger: the loop waits for it with the verdict that it is to write
		w.mu.Unlock()
		w.see(t, c, mesh.Unreachable, 30*time.Second)
		h, _ = e.Health.Report(t.Context())
		if h.Judging || e.Health.Judging() || h.Behind == 0 {
			t.Errorf("a judge that is stuck: %+v", h)
		}
		w.mu.Lock()
		w.broken = nil
		w.mu.Unlock()
		w.see(t, c, mesh.Unreachable, 10*time.Second)
		synctest.Wait()
		if h, _ = e.Health.Report(t.Context()); !h.Judging || h.Behind > 0 {
			t.Errorf("a judge that goes on: %+v", h)
		}
		end(t, stop)
	})
}

func TestAWarningIsLoggedOnceAChange(t *testing.T) {
	said := &words{}
	w := newWorld(t)
	w.said = said
	e, book, err := w.open(t, node.CoreConfig{Catalog: newCatalog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	for range 3 {
		e.Warnings.Warn("disk", "disk full")
	}
	if p := e.Health.Problems(); len(p) != 1 || p[0] != "disk full" || said.times("disk full") != 1 {
		t.Error(p, said.times("disk full"))
	}
	e.Warnings.Warn("disk", "")
	e.Warnings.Warn("disk", "")
	if p := e.Health.Problems(); len(p) != 0 || said.times("warning cleared") != 1 {
		t.Error(p)
	}
}

// One agent sends what cannot be read, without end. What is wrong with another's message is in the log all the same.
func TestOneAgentsBadMessagesHideNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &words{}
		w, c := newWorld(t), newCatalog(t)
		w.said = said
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		none := func(string) string { return "" }
		for range 600 {
			w.put(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: none, Data: []byte("{")})
			time.Sleep(100 * time.Millisecond)
		}
		w.put(bus.Message{Kind: bus.Batch, Agent: "nc3", Header: none, Data: []byte("{")})
		time.Sleep(time.Second)
		if n := said.times("message rejected", `"nc3"`); n != 1 {
			t.Errorf("nc3's message is logged %d times", n)
		}
		if n := said.times("message rejected", `"nc2"`); n < 5 || n > 12 {
			t.Errorf("nc2's messages are logged %d times in a minute", n)
		}
		end(t, stop)
	})
}
