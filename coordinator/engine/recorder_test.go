package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/wire"
)

// recorders are coordinators on one NATS server, of which nothing but the recorders runs.
type recorders struct {
	dir       string
	server    *server.Server
	js        jetstream.JetStream // as a coordinator: agents could not publish for each other
	catalog   *catalog.Catalog
	sequences map[string]uint64 // of the agents' batches
}

func newRecorders(t *testing.T) *recorders {
	t.Helper()
	w := &recorders{dir: t.TempDir(), catalog: fourHosts(t), sequences: map[string]uint64{}}
	var err error
	w.server, err = server.Start(t.Context(), server.Config{Dir: w.dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	way, err := w.server.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("", nats.InProcessServer(way.InProcess), nats.UserJWTAndSeed(way.JWT, way.Seed))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w.js, err = jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// one is one coordinator of several.
type one struct {
	bus       *buscoordinator.Conn
	ledger    *ledger.Ledger
	store     *latency.Store
	latencies *engine.Latencies
	stop      func()
}

// start starts the recorder of a coordinator with a name, which has files of its own.
func (w *recorders) start(t *testing.T, name string, lead bool) *one {
	t.Helper()
	way, err := w.server.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	c := &one{}
	if c.bus, err = buscoordinator.Dial(t.Context(), way); err != nil {
		t.Fatal(err)
	}
	if lead {
		if err := c.bus.Lead(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	led, v, err := engine.OpenLedger(t.Context(), c.bus, filepath.Join(w.dir, name+"-view.db"))
	if err != nil {
		t.Fatal(err)
	}
	c.ledger = led
	if n, err := v.Sequence(t.Context()); lead && (n <= 1 || err != nil) {
		w.put(t, led, w.catalog)
	}
	if c.store, err = latency.Open(t.Context(), filepath.Join(w.dir, name+"-latency.db")); err != nil {
		t.Fatal(err)
	}
	c.latencies = engine.NewLatencies(c.store, v, func() (time.Time, time.Duration) { return time.Now(), 0 })
	r := engine.NewRecorder(engine.RecorderConfig{
		Bus: c.bus, Rollups: c.bus.Rollups(), View: v, Store: c.store, Every: 300 * time.Millisecond,
		Retry: 50 * time.Millisecond, Logger: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	c.stop = sync.OnceFunc(func() { cancel(); running.Wait(); c.store.Close(); v.Close(); c.bus.Close() })
	t.Cleanup(c.stop)
	return c
}

// put puts a catalog in force.
func (w *recorders) put(t *testing.T, led *ledger.Ledger, c *catalog.Catalog) {
	t.Helper()
	if err := led.Append(t.Context(), ledger.CatalogEvent{Catalog: c, Source: "test", Mesh: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.js.Publish(t.Context(), bus.SubjectMark+string(bus.CatalogMark), []byte(c.Revision)); err != nil {
		t.Fatal(err)
	}
	w.catalog = c
}

// publish has an agent publish observations of NC1's ping that ended so long ago; twice stores the batch two times.
func (w *recorders) publish(t *testing.T, agent string, ago time.Duration, twice bool, rtts ...time.Duration) {
	t.Helper()
	w.sequences[agent]++
	at := time.Now().Add(-ago)
	b := &mesh.Batch{
		Agent: agent, Epoch: 9, Sequence: w.sequences[agent], Began: at.Add(-2 * time.Second), Revision: w.catalog.Revision,
	}
	host := w.catalog.HostByID(catalog.FirstHostID("NC1"))
	for _, rtt := range rtts {
		b.Observations = append(b.Observations, mesh.Observation{
			Host: host.Key(), Check: host.Checks[0].Name, Family: mesh.IPv4, Began: at.Add(-rtt), Elapsed: rtt, RTT: rtt,
			Outcome: mesh.Reachable, Sent: 1,
		})
	}
	data, err := wire.EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(bus.SubjectObservations + agent)
	m.Data = data
	for key, value := range wire.EncodeHeaders(ago+2*time.Second, time.Hour) {
		m.Header.Set(key, value)
	}
	for range map[bool]int{false: 1, true: 2}[twice] {
		if _, err := w.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// round has all agents but NC1's publish a live batch of two observations, and one of an earlier hour.
func (w *recorders) round(t *testing.T) {
	t.Helper()
	for i := 2; i <= 4; i++ {
		agent := fmt.Sprintf("nc%d", i)
		w.publish(t, agent, 0, i == 3, 10*time.Millisecond, 20*time.Millisecond)
		w.publish(t, agent, 5*time.Hour, i == 4, 90*time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
}

// seen returns how many observations a coordinator has of NC1's ping, by region, live and late.
func (w *recorders) seen(t *testing.T, c *one) map[string][2]uint64 {
	t.Helper()
	now := time.Now()
	report, err := c.latencies.Latency(t.Context(), w.catalog, latency.Request{
		Include: func(key string) bool { return key == w.catalog.HostByID(catalog.FirstHostID("NC1")).Key() },
		By:      latency.Hour, From: now.Add(-8 * time.Hour), To: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][2]uint64{}
	for _, row := range report.Rows {
		n := out[row.Region]
		for _, p := range row.Points {
			if now.Sub(p.At) < 3*time.Hour {
				n[0] += p.Outcomes.Reachable
			} else {
				n[1] += p.Outcomes.Reachable
			}
		}
		out[row.Region] = n
	}
	return out
}

// events reads ROLLUP, and checks that each event begins where the one before it ended.
func events(t *testing.T, c *one) (out []rollup.Event) {
	t.Helper()
	err := c.bus.Rollups().Read(t.Context(), 1, func(r bus.Record) error {
		if r.Subject == bus.RollupEpoch {
			return nil
		}
		e, err := rollup.Decode(r.Data)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(out); n > 0 {
			if err := e.CheckFollows(out[n-1]); err != nil {
				t.Errorf("%d to %d follows %d to %d: %v", e.First, e.Last, out[n-1].First, out[n-1].Last, err)
			}
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *recorders) wantRounds(t *testing.T, when string, c *one, rounds uint64) {
	t.Helper()
	want := map[string][2]uint64{}
	for _, city := range cities[1:] {
		want[city] = [2]uint64{2 * rounds, rounds}
	}
	eventually(t, when+": all observations", func() bool { return cmp.Equal(want, w.seen(t, c)) })
	time.Sleep(100 * time.Millisecond)
	if diff := cmp.Diff(want, w.seen(t, c)); diff != "" {
		t.Error(when, diff)
	}
	now := time.Now()
	h := &w.catalog.Hosts[0]
	for i := range 3 {
		vantage, reachable := fmt.Sprintf("NC%d", i+2), uint64(0)
		minutes, err := c.latencies.Minutes(t.Context(), w.catalog, latency.MinutesRequest{
			Host: h.Name, Check: h.Checks[0].Name, Vantages: []string{vantage},
			Period: latency.Period{From: now.Add(-8 * time.Hour), To: now},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range minutes {
			reachable += m.Outcomes.Reachable
		}
		if reachable != 3*rounds {
			t.Errorf("%s: %s has %d", when, vantage, reachable)
		}
	}
}

// Observations are counted once, in the hour in which they were made, whatever happens to coordinators: restarts with
// and without their files, a standby, a change of the leader, and a leader that does not know that it was deposed.
func TestHourlySummariesSurviveTheirWriters(t *testing.T) {
	w := newRecorders(t)
	first := w.start(t, "first", true)
	standby := w.start(t, "standby", false)
	for range 5 {
		w.round(t)
	}
	w.wantRounds(t, "the leader", first, 5)
	w.wantRounds(t, "a standby", standby, 5)
	eventually(t, "two events", func() bool { return len(events(t, first)) >= 2 })

	first.stop()
	w.round(t)
	first = w.start(t, "first", true)
	w.round(t)
	w.wantRounds(t, "after a restart", first, 7)

	if err := standby.bus.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(events(t, standby))
	for range 5 {
		w.round(t)
	}
	w.wantRounds(t, "the next leader", standby, 12)
	w.wantRounds(t, "the deposed leader", first, 12)
	eventually(t, "an event of the next leader", func() bool { return len(events(t, standby)) > before })

	fresh := w.start(t, "fresh", false)
	w.wantRounds(t, "a coordinator without files", fresh, 12)
	sameFiles(t, w, fresh, standby)
}

// sameFiles checks that two coordinators answer the same.
func sameFiles(t *testing.T, w *recorders, a, b *one) {
	t.Helper()
	now := time.Now()
	var both [2]latency.Report
	for i, c := range []*one{a, b} {
		var err error
		both[i], err = c.latencies.Latency(t.Context(), w.catalog, latency.Request{
			Include: func(string) bool { return true }, By: latency.Hour, From: now.Add(-8 * time.Hour), To: now,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(both[0], both[1], cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// A host and a check keep their latencies under other names, also what an agent with the catalog before reports.
func TestLatenciesFollowRenames(t *testing.T) {
	w := newRecorders(t)
	c := w.start(t, "first", true)
	w.round(t)
	before := w.catalog
	next := renamed(t, before)
	w.put(t, c.ledger, next)
	w.catalog = before // an agent that has not heard of it yet
	w.round(t)
	w.catalog = next
	w.round(t)
	w.wantRounds(t, "under the other names", c, 3)
	now := time.Now()
	minutes, err := c.latencies.Minutes(t.Context(), next, latency.MinutesRequest{
		Host: "nc9", Check: "Alive", Vantages: []string{"nc2"},
		Period: latency.Period{From: now.Add(-8 * time.Hour), To: now},
	})
	total := uint64(0)
	for _, m := range minutes {
		total += m.Outcomes.Reachable
	}
	if err != nil || total != 9 {
		t.Errorf("%d observations in minutes: %v", total, err)
	}
	overview, err := c.latencies.Overview(t.Context(), next, false)
	if err != nil {
		t.Fatal(err)
	}
	host := overview["nc9"]
	if host.Median < 9*time.Millisecond || host.Median > 21*time.Millisecond || len(overview.Of("nc9", "Alive")) != 3 {
		t.Errorf("median %s of %d regions", host.Median, len(overview.Of("nc9", "Alive")))
	}
}

// renamed is the catalog with other names of NC1 and its ping.
func renamed(t *testing.T, before *catalog.Catalog) *catalog.Catalog {
	t.Helper()
	next := *before
	next.Hosts = append([]catalog.Host{}, before.Hosts...)
	h := &next.Hosts[0]
	h.ID, h.Name = h.Identity(), "NC9"
	h.Checks = append([]catalog.Check{}, h.Checks...)
	h.Checks[0].ID, h.Checks[0].Name = before.Hosts[0].IdentityOf(&before.Hosts[0].Checks[0]), "Alive"
	catalog.Seal(&next)
	return &next
}
