package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/meshtime"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/testenv"
	"github.com/probemesh/probemesh/pkg/wire"
)

// jumpTo shows a moment with the saved states in the directory, and returns the least sequence that was read.
func jumpTo(t *testing.T, w *world, e *node.Core, at time.Time) (*catalog.Catalog, *mesh.Snapshot, uint64) {
	t.Helper()
	synctest.Wait() // for the coordinator itself to begin to read
	w.mu.Lock()
	w.readFrom = 0
	w.mu.Unlock()
	c, s, err := e.Replayer.At(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return c, s, w.readFrom
}

// A jump continues from the state that was saved last before its moment, also after a restart, and shows what was shown
// then. With a state that is damaged it replays more.
func TestAJumpContinuesFromASavedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, dir := newWorld(t), fourHosts(t), t.TempDir()
		log := new(testenv.Log)
		w.log = log
		e, stop := w.run(t, node.CoreConfig{Catalog: c, Moments: dir})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 6*time.Minute)
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		next := readdressed(t)
		if _, err := e.Catalogs.Apply(t.Context(), next, "apply", false); err != nil {
			t.Fatal(err)
		}
		w.observe(t, next, mesh.Unreachable, 30*time.Second)
		time.Sleep(500 * time.Millisecond)
		then := time.Now()
		_, shown := e.Engine.Current()
		time.Sleep(time.Second) // what comes at the same moment belongs to it
		w.observe(t, next, mesh.Reachable, 6*time.Minute)
		states, _ := filepath.Glob(filepath.Join(dir, "*", "*.state"))
		if len(states) != 3 {
			t.Fatalf("%d states were saved in 13 minutes", len(states))
		}
		mustStop(t, stop)

		e, stop = w.run(t, node.CoreConfig{Catalog: next, Moments: dir})
		_, past, from := jumpTo(t, w, e, then)
		if diff := cmp.Diff(shown.Hosts, past.Hosts); diff != "" {
			t.Errorf("what was shown differs: %s", diff)
		}
		if past.Hosts[0].Status != mesh.MajorOutage || from < 300 {
			t.Errorf("the host was %s; the stream was read from message %d", past.Hosts[0].Status, from)
		}
		for _, name := range states {
			if err := os.WriteFile(name, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, past, from = jumpTo(t, w, e, then.Add(-time.Millisecond))
		if diff := cmp.Diff(shown.Hosts, past.Hosts); diff != "" || from > 10 {
			t.Errorf("read from message %d; what was shown differs: %s", from, diff)
		}
		if !strings.Contains(log.String(), "saved state unusable") {
			t.Error("the log does not name the damaged state")
		}
		mustStop(t, stop)
	})
}

// A saved state of a stream that was recreated since is not used: the same sequence is another message.
func TestASavedStateOfAnotherStreamIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, dir := newWorld(t), fourHosts(t), t.TempDir()
		e, stop := w.run(t, node.CoreConfig{Catalog: c, Moments: dir})
		enrollAll(t, e)
		w.observe(t, c, mesh.Unreachable, 30*time.Second)
		mustStop(t, stop)
		w.messages = nil // the stream alone is lost
		e, stop = w.run(t, node.CoreConfig{Catalog: c, Moments: dir})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, time.Minute)
		_, past, _ := jumpTo(t, w, e, time.Now().Add(-10*time.Second))
		if past.Hosts[0].Status != mesh.Operational {
			t.Errorf("the host was %s", past.Hosts[0].Status)
		}
		mustStop(t, stop)
	})
}

// BenchmarkJump is the slowest jump of the last five minutes, to just before a state was saved, in meshes of ten hosts
// and more with five checks each; of a thousand hosts with two checks each, of the last minute. It reports how many
// states that time had, their size on disk, and how many megabytes those of two days would take if none were removed.
// /without has no saved state; a replay of a thousand hosts would exceed its time.
func BenchmarkJump(b *testing.B) {
	for _, hosts := range []int{10, 30, 100, 1000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) { benchmarkJump(b, hosts) })
	}
}

func benchmarkJump(b *testing.B, hosts int) {
	before, turns, checks := 16*time.Minute, 30, 5
	if hosts > 100 {
		before, turns, checks = 20*time.Second, 6, 2 // a state is saved every few seconds
	}
	w := &world{dir: b.TempDir(), more: make(chan struct{}), refused: map[bus.Kind]int{}, known: map[string]bool{}}
	c, dir := meshOf(b, hosts, checks), b.TempDir()
	w.stepped = -21 * time.Minute
	w.stopped = time.Now() // on a busy machine, agents would seem to be silent while this writes what they report
	e := openBench(b, w, c, dir)
	for _, h := range c.Hosts {
		if err := e.Members.Enrolled(b.Context(), h.Key(), "K"); err != nil {
			b.Fatal(err)
		}
	}
	w.fill(b, c, before)
	e = openBench(b, w, c, dir)
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	for range turns { // the judge keeps up with the agents, as in life
		awaitJudged(e, w)
		w.fill(b, c, 10*time.Second)
	}
	awaitJudged(e, w)
	cancel()
	running.Wait()
	at, states, size := slowestMoment(b, dir, w.clock())
	ways := []struct{ name, dir string }{{"saved", dir}, {"without", ""}}
	if hosts > 100 {
		ways = ways[:1]
	}
	for _, way := range ways {
		e := openBench(b, w, c, way.dir)
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				at = at.Add(-time.Millisecond)
				if _, _, err := e.Replayer.At(b.Context(), at); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(states), "states")
			b.ReportMetric(float64(size), "B/state")
			b.ReportMetric(float64(states)*float64(size)/1e6*48*360/float64(turns), "MB/two-days")
		})
	}
}

func awaitJudged(e *node.Core, w *world) {
	w.mu.Lock()
	last := uint64(len(w.messages))
	w.mu.Unlock()
	for !e.Engine.Ready() || e.Engine.Progress().Sequence < last {
		time.Sleep(time.Millisecond)
	}
}

// slowestMoment returns the end of the longest time without a saved state up to now, and the states' number and size.
func slowestMoment(b *testing.B, dir string, now time.Time) (at time.Time, states int, size int64) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.state"))
	if err != nil || len(files) == 0 {
		b.Fatalf("no state was saved (%v)", err)
	}
	ends := []time.Time{now}
	for _, name := range files {
		var seconds, nanos int64
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.%d-", &seconds, &nanos); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			b.Fatal(err)
		}
		ends, size = append(ends, time.Unix(seconds, nanos)), max(size, info.Size())
	}
	slices.SortFunc(ends, time.Time.Compare)
	longest := time.Duration(0)
	for i := 1; i < len(ends); i++ {
		if between := ends[i].Sub(ends[i-1]); between > longest {
			at, longest = ends[i].Add(-time.Millisecond), between
		}
	}
	return at, len(files), size
}

func openBench(b *testing.B, w *world, c *catalog.Catalog, dir string) *node.Core {
	v, err := view.Open(b.Context(), filepath.Join(w.dir, "view.db"), log{w})
	if err != nil {
		b.Fatal(err)
	}
	led, err := ledger.Open(b.Context(), log{w}, v)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Close() })
	e, err := node.OpenCore(b.Context(), node.CoreConfig{
		Bus: w, Ledger: led, View: v, Catalog: c, Streams: w.streams, Getenv: os.LookupEnv, Moments: dir,
	})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func meshOf(b *testing.B, n, checks int) *catalog.Catalog {
	var text strings.Builder
	text.WriteString("regions:\n")
	for i := range 10 {
		fmt.Fprintf(&text, "  - {name: r%d}\n", i)
	}
	text.WriteString("hosts:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {name: H%d, region: r%d, address: 10.0.%d.%d, checks: [{kind: ping}", i, i%10, i/250, i%250+1)
		for port := range checks - 1 {
			fmt.Fprintf(&text, ", {kind: tcp, port: %d}", port+25)
		}
		text.WriteString("]}\n")
	}
	c, err := catalogfile.Parse("x", []byte(text.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// fill stores what the agents publish in a while: a batch each every two seconds, with a fifth of their checks.
func (w *world) fill(b *testing.B, c *catalog.Catalog, d time.Duration) {
	duties, chooser := map[string][]mesh.Observation{}, schedule.NewChooser(c)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			for _, agent := range chooser.Observers(h, &h.Checks[k]) {
				duties[agent] = append(duties[agent], mesh.Observation{
					Host: h.Key(), Check: h.Checks[k].Name, Family: mesh.IPv4, Outcome: mesh.Reachable, Sent: 1,
					RTT: 12 * time.Millisecond, Elapsed: 12 * time.Millisecond,
				})
			}
		}
	}
	w.epoch = 1
	for until := w.stepped + d; w.stepped < until; w.stepped += 2 * time.Second {
		now := w.clock()
		if _, err := w.MarkClock(b.Context(), meshtime.Mark{Now: now}); err != nil {
			b.Fatal(err)
		}
		turn := int(time.Hour+w.stepped) / int(2*time.Second)
		for agent, all := range duties {
			batch := &mesh.Batch{Agent: agent, Epoch: w.epoch, Sequence: uint64(turn), Began: now, Revision: c.Revision}
			for i := turn % 5; i < len(all); i += 5 {
				o := all[i]
				o.Began = now.Add(-20 * time.Millisecond)
				o.RTT += time.Duration(rand.N(4000)) * time.Microsecond
				o.Elapsed = o.RTT
				batch.Observations = append(batch.Observations, o)
			}
			data, err := wire.EncodeBatch(batch)
			if err != nil {
				b.Fatal(err)
			}
			h := wire.EncodeHeaders(10*time.Millisecond, time.Hour)
			w.store(bus.Message{Kind: bus.Batch, Agent: agent, Header: func(k string) string { return h[k] }, Data: data})
		}
	}
}

// A trace has every step from before the cause of a transition to its publication, and ends with the verdict; with
// saved states and without.
func TestATransitionIsTraced(t *testing.T) {
	for _, saves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, c, dir := newWorld(t), fourHosts(t), ""
			if saves {
				dir = t.TempDir()
			}
			w.namesRounds = true
			e, stop := w.run(t, node.CoreConfig{Catalog: c, Moments: dir})
			enrollAll(t, e)
			w.observe(t, c, mesh.Reachable, 6*time.Minute)
			w.observe(t, c, mesh.Unreachable, 20*time.Second)
			w.observe(t, c, mesh.Reachable, time.Minute)
			all, err := e.History.Transitions(t.Context(), "nc1", time.Time{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(all, func(tr mesh.Transition) bool { return tr.Verdict == mesh.Down })
			events, err := e.Replayer.Trace(t.Context(), all[i])
			if err != nil {
				t.Fatal(err)
			}
			wantTrace(t, all[i], events)
			found, err := e.History.DecidedAt(t.Context(), all[i].Sequence)
			if err != nil || len(found) == 0 || found[0].ID != all[i].ID {
				t.Errorf("found %v (%v)", found, err)
			}
			mustStop(t, stop)
		})
	}
}

// The way to a transition of a host that was renamed since, whose name another host has now, is that of this host. So
// it is if the catalog with the new names came between the cause and the verdict.
func TestTheWayOfARenamedHostIsTraced(t *testing.T) {
	for _, between := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, c := newWorld(t), fourHosts(t)
			w.namesRounds = true
			e, stop := w.run(t, node.CoreConfig{Catalog: c})
			enrollAll(t, e)
			w.observe(t, c, mesh.Reachable, time.Minute)
			apply := func() {
				next := fourHosts(t)
				next.Hosts[0].Name, next.Hosts[0].Was = "NC9", "NC1"
				next.Hosts[0].Checks = slices.Clone(next.Hosts[0].Checks)
				next.Hosts[0].Checks[0].Name, next.Hosts[0].Checks[0].Was = "echo", "ping"
				if _, err := e.Catalogs.Apply(t.Context(), next, "apply", false); err != nil {
					t.Fatal(err)
				}
			}
			w.observe(t, c, mesh.Unreachable, time.Second)
			if between {
				apply()
			}
			w.observe(t, c, mesh.Unreachable, 20*time.Second)
			if !between {
				apply()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			all, err := e.History.Transitions(t.Context(), "nc9", time.Time{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(all, func(tr mesh.Transition) bool { return tr.Verdict == mesh.Down })
			if i < 0 || all[i].Check != "echo" {
				t.Fatalf("renamed between: %v: the ledger has %d transitions of the host, and no outage of it", between, len(all))
			}
			events, err := e.Replayer.Trace(t.Context(), all[i])
			if err != nil || len(events) == 0 {
				t.Fatalf("renamed between: %v: %d events, %v", between, len(events), err)
			}
			wantTrace(t, all[i], events)
			mustStop(t, stop)
		})
	}
}

func wantTrace(t *testing.T, tr mesh.Transition, events []judge.Event) {
	t.Helper()
	kinds, bad := map[judge.EventKind]int{}, map[string]bool{}
	for _, event := range events {
		kinds[event.Kind]++
		if event.Probe != nil && event.Probe.Outcome == mesh.Unreachable {
			bad[event.Vantage] = true
		}
	}
	last := events[len(events)-1]
	if last.Kind != judge.Decided || last.Verdict != mesh.Down || !last.At.Equal(tr.Published) || last.Tally != tr.Tally {
		t.Errorf("the trace ends with %+v, and the transition is %+v", last, tr)
	}
	if kinds[judge.RoundOpened] == 0 || kinds[judge.VoteChanged] < 3 || len(bad) != 3 ||
		!events[0].At.Before(tr.Began) || len(events) > 200 {
		t.Errorf("%d events, by kind %v; bad are %v", len(events), kinds, bad)
	}
}
