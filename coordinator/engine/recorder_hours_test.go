package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/wire"
)

// streamWorld is a world as a recorder needs it.
type streamWorld struct {
	*world
	created time.Time // of the stream of observations
}

func (w streamWorld) Streams(context.Context) ([]bus.StreamInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []bus.StreamInfo{{Name: "OBS", Last: uint64(len(w.messages)), Created: w.created}}, nil
}

// memoryRollups is ROLLUP in memory.
type memoryRollups struct {
	mu      sync.Mutex
	events  []bus.Record
	refusal error // of Append; nil: it works
}

func (m *memoryRollups) State(context.Context) (time.Time, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Unix(1, 0), uint64(len(m.events)), nil
}

func (m *memoryRollups) Append(_ context.Context, e bus.Entry, after uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.refusal != nil:
		return 0, m.refusal
	case after != uint64(len(m.events)):
		return 0, bus.ErrBehind
	}
	m.events = append(m.events, bus.Record{Sequence: after + 1, Subject: e.Subject, Data: e.Data})
	return after + 1, nil
}

func (m *memoryRollups) Read(_ context.Context, from uint64, fn func(bus.Record) error) error {
	m.mu.Lock()
	events := m.events
	m.mu.Unlock()
	for _, r := range events {
		if r.Sequence >= from {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memoryRollups) refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusal = err
}

// recorderOf runs a recorder of the world on a file.
func (w *world) recorderOf(t *testing.T, m *memoryRollups, v *view.View, file string) (*engine.Latencies, func()) {
	t.Helper()
	store, err := latency.Open(t.Context(), filepath.Join(w.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	r := engine.NewRecorder(engine.RecorderConfig{
		Bus: streamWorld{w, time.Unix(9, 0)}, Rollups: m, View: v, Store: store, Warn: w.warn,
		Logger: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { _ = r.Run(ctx); close(ended) }()
	now := func() (time.Time, time.Duration) { return time.Now(), 0 }
	return engine.NewLatencies(store, v, now), func() { cancel(); <-ended; store.Close() }
}

// probe has the agents observe NC1 every ten seconds for a while.
func (w *world) probe(t *testing.T, c *catalog.Catalog, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
		w.epoch++
		for i := 2; i <= 4; i++ {
			at := time.Now()
			b := &mesh.Batch{Agent: fmt.Sprintf("nc%d", i), Epoch: 3, Sequence: w.epoch, Began: at, Revision: c.Revision}
			rtt := time.Duration(i) * 10 * time.Millisecond
			b.Observations = []mesh.Observation{{Host: "nc1", Check: "ping", Family: mesh.IPv4, Began: at.Add(-rtt),
				Elapsed: rtt, RTT: rtt, Outcome: mesh.Reachable, Sent: 1}}
			data, err := wire.EncodeBatch(b)
			if err != nil {
				t.Fatal(err)
			}
			h := wire.EncodeHeaders(0, time.Hour)
			w.store(bus.Message{Kind: bus.Batch, Agent: b.Agent, Header: func(k string) string { return h[k] }, Data: data})
		}
		if _, err := w.MarkClock(t.Context(), meshtime.Mark{Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// hourlyCounts returns how many observations London has in each hour since the beginning of the test.
func hourlyCounts(t *testing.T, l *engine.Latencies, c *catalog.Catalog, public bool) map[int]uint64 {
	t.Helper()
	began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	report, err := l.Latency(t.Context(), c, latency.Request{
		Include: func(string) bool { return true }, Region: "london", By: latency.Hour, Public: public,
		From: began, To: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]uint64{}
	for _, row := range report.Rows {
		for _, p := range row.Points {
			out[int(p.At.Sub(began).Hours())] += p.Outcomes.Reachable
		}
	}
	return out
}

// openView opens a ledger's view in which the catalog is in force.
func (w *world) openView(t *testing.T, c *catalog.Catalog) *view.View {
	t.Helper()
	core, v, err := w.open(t, node.CoreConfig{Catalog: c})
	if err != nil || core == nil {
		t.Fatal(err)
	}
	return v
}

// An event is written after each hour, a pause is a gap, and nothing is lost or counted twice by restarts, by a stream
// that refuses events for hours, or without a file.
func TestAnEventEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, m := newWorld(t), fourHosts(t), &memoryRollups{}
		v := w.openView(t, c)
		defer v.Close()
		l, stop := w.recorderOf(t, m, v, "latency.db")
		w.probe(t, c, 2*time.Hour+10*time.Minute)
		if n := len(m.events); n != 2 {
			t.Fatalf("%d events after two hours", n)
		}
		want := map[int]uint64{0: 360, 1: 360, 2: 60}
		check := func(when string, l *engine.Latencies) {
			t.Helper()
			if got := hourlyCounts(t, l, c, false); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		check("after two hours", l)
		stop()
		time.Sleep(3*time.Hour - time.Minute)
		l, stop = w.recorderOf(t, m, v, "latency.db")
		w.probe(t, c, time.Hour)
		want[5], want[6] = 306, 54
		check("after a pause", l)
		m.refuse(bus.ErrNotLeading)
		w.probe(t, c, 2*time.Hour)
		m.refuse(nil)
		time.Sleep(time.Minute)
		want[6], want[7], want[8] = 360, 360, 54
		check("after two hours without a leader", l)
		m.mu.Lock()
		var last rollup.Event
		gaps := 0
		for _, r := range m.events {
			e, err := rollup.Decode(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.CheckFollows(last); last.Last > 0 && err != nil {
				t.Error(err)
			}
			gaps, last = gaps+len(e.Gaps), e
		}
		m.mu.Unlock()
		if gaps != 1 {
			t.Errorf("%d gaps", gaps)
		}
		stop()
		fresh, stop := w.recorderOf(t, m, v, "fresh.db")
		time.Sleep(time.Minute)
		check("without a file", fresh)
		minutes, err := fresh.Minutes(t.Context(), c, latency.MinutesRequest{
			Host: "NC1", Check: "ping", Vantages: []string{"NC2"},
			Period: latency.Period{From: time.Unix(0, 0), To: time.Now()},
		})
		total := uint64(0)
		for _, one := range minutes {
			total += one.Outcomes.Reachable
		}
		if err != nil || total != 360*4+60+306+54 || minutes[0].Outcomes.Reachable != 6 {
			t.Errorf("%d observations in %d minutes (%v)", total, len(minutes), err)
		}
		stop()
	})
}

// The public reads nothing of the hours in which a host was internal.
func TestHoursOfInternalHostsStayHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, m := newWorld(t), fourHosts(t), &memoryRollups{}
		c.Hosts[0].Public = true
		catalog.Seal(c)
		core, v, err := w.open(t, node.CoreConfig{Catalog: c})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		led, err := ledger.Open(t.Context(), log{w}, v)
		if err != nil || core == nil {
			t.Fatal(err)
		}
		l, stop := w.recorderOf(t, m, v, "latency.db")
		defer stop()
		visible := func(public bool, minutes int) {
			next := *c
			next.Hosts = append([]catalog.Host{}, c.Hosts...)
			next.Hosts[0].Public = public
			catalog.Seal(&next)
			event := ledger.CatalogEvent{Catalog: &next, Source: "test", Mesh: time.Now()}
			if err := led.Append(t.Context(), event); err != nil {
				t.Fatal(err)
			}
			w.probe(t, &next, time.Duration(minutes)*time.Minute)
		}
		visible(true, 90)
		visible(false, 20)
		visible(true, 190)
		if got, want := fmt.Sprint(hourlyCounts(t, l, c, true)), "map[0:360 2:360 3:360 4:360]"; got != want {
			t.Errorf("the public reads %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(hourlyCounts(t, l, c, false)), "map[0:360 1:360 2:360 3:360 4:360]"; got != want {
			t.Errorf("operators read %s, want %s", got, want)
		}
		overview, err := l.Overview(t.Context(), c, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range overview.Of("nc1", "ping") {
			hidden, shown := r.Hours.At(43), r.Hours.At(44)
			if hidden.Answered() || !shown.Answered() || r.Day.Answered() || r.Now.RTT.Count() == 0 {
				t.Errorf("%s: the internal hour %+v, the day %+v", r.Region, hidden, r.Day)
			}
		}
	})
}

// A stream that lost messages which an event covers gives their sequences to others, which count too: what is left of
// the stream is read again, and nothing of it counts twice.
func TestAStreamThatLostItsEndIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, m := newWorld(t), fourHosts(t), &memoryRollups{}
		v := w.openView(t, c)
		defer v.Close()
		_, stop := w.recorderOf(t, m, v, "latency.db")
		w.probe(t, c, 2*time.Hour+10*time.Minute)
		stop()
		w.mu.Lock()
		w.messages = w.messages[:len(w.messages)*10/13] // of the first 100 minutes; the events cover 125
		w.mu.Unlock()
		l, stop := w.recorderOf(t, m, v, "latency.db")
		defer stop()
		w.probe(t, c, 70*time.Minute)
		if got, want := fmt.Sprint(hourlyCounts(t, l, c, false)), "map[0:360 1:360 2:331 3:120]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// Operators are warned while events cannot be written, and no longer than that. A coordinator that does not lead
// is no fault.
func TestSummariesThatAreNotStoredAreWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, m := newWorld(t), fourHosts(t), &memoryRollups{}
		v := w.openView(t, c)
		defer v.Close()
		warned := ""
		w.warn = func(_, text string) { warned = text }
		_, stop := w.recorderOf(t, m, v, "latency.db")
		defer stop()
		for _, step := range []struct {
			refusal error
			warned  bool
		}{{nil, false}, {errRefused, true}, {nil, false}, {bus.ErrNotLeading, false}} {
			m.refuse(step.refusal)
			w.probe(t, c, 2*time.Hour)
			if (warned != "") != step.warned {
				t.Errorf("refusal %v: warned %q", step.refusal, warned)
			}
		}
	})
}
