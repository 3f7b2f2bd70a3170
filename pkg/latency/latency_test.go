package latency_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

var (
	noon    = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	created = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
)

func open(t testing.TB, file string) *latency.Store {
	t.Helper()
	s, err := latency.Open(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Follow(context.Background(), created, 1<<40); err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t testing.TB, s *latency.Store, records ...latency.Record) (refused int) {
	t.Helper()
	refused, err := s.Apply(context.Background(), records)
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

func sample(random *rand.Rand, n int) (s rollup.Summary) {
	for range n {
		o := mesh.Observation{Outcome: mesh.Reachable, Sent: 1, RTT: time.Duration(1e6 * (1 + 50*random.Float64()))}
		if random.IntN(20) == 0 {
			o.Outcome, o.Lost = mesh.Unreachable, 1
		}
		s.Add(fmt.Sprintf("vantage-%d", random.IntN(3)), o)
	}
	return s
}

// hourly makes n events of an hour each, which have late observations of the day before too.
func hourly(random *rand.Rand, n int) (out []latency.Record) {
	for i := range int64(n) {
		hour := rollup.HourOf(noon) + i
		e := rollup.Event{
			Stream: 5, First: uint64(i)*100 + 1, Last: uint64(i)*100 + 100, Until: time.Unix(hour*3600+3900, 0),
			Summaries: map[rollup.Key]rollup.Summary{},
			Batches:   []rollup.Batches{{Agent: "a1", First: uint64(i), Last: uint64(i)}},
		}
		for _, region := range []string{"east", "west"} {
			e.Summaries[rollup.Key{Hour: hour, Check: "ping", Region: region}] = sample(random, 20)
			e.Summaries[rollup.Key{Hour: hour - random.Int64N(40), Check: "ping", Region: region}] = sample(random, 5)
			e.Summaries[rollup.Key{Hour: hour, Check: "other", Region: region}] = sample(random, 5)
		}
		out = append(out, latency.Record{Sequence: uint64(i) + 1, Event: &e})
	}
	return out
}

// expected computes by itself what Series must return.
func expected(records []latency.Record, q latency.Query) (out []latency.Series) {
	step := int64(q.By.Duration() / time.Hour)
	for _, region := range []string{"east", "west"} {
		whole := map[int64]rollup.Summary{}
		for _, r := range records {
			for k, part := range r.Event.Summaries {
				if k.Check == q.Check && k.Region == region {
					s := whole[k.Hour/step]
					s.Merge(part)
					whole[k.Hour/step] = s
				}
			}
		}
		s := latency.Series{Check: q.Check, Region: region}
		for at := q.From.Truncate(q.By.Duration()); at.Before(q.To); at = at.Add(q.By.Duration()) {
			if one, ok := whole[rollup.HourOf(at)/step]; ok {
				s.Points = append(s.Points, latency.Point{At: at, Digest: one.Digest()})
			}
		}
		out = append(out, s)
	}
	return out
}

func series(t *testing.T, s *latency.Store, q latency.Query) []latency.Series {
	t.Helper()
	out, err := s.Series(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Hours and days are what the events add up to: applied one by one with restarts, or all at once as a rebuild does.
func TestSeriesAreTheSumsOfTheEvents(t *testing.T) {
	records := hourly(rand.New(rand.NewPCG(1, 2)), 24*9)
	file := filepath.Join(t.TempDir(), "latency.db")
	step := open(t, file)
	for i, r := range records {
		apply(t, step, r)
		if i%50 == 7 {
			step.Close()
			step = open(t, file)
		}
	}
	whole := open(t, filepath.Join(t.TempDir(), "latency.db"))
	apply(t, whole, records...)
	for _, by := range []latency.Step{latency.Hour, latency.Day} {
		for _, period := range [][2]time.Duration{{-40, 24 * 10}, {3, 30}, {24 * 6, 24 * 9}, {100, 101}} {
			q := latency.Query{
				Check: "ping", By: by, From: noon.Add(period[0] * time.Hour), To: noon.Add(period[1] * time.Hour),
			}
			want := expected(records, q)
			if diff := cmp.Diff(want, series(t, step, q)); diff != "" {
				t.Fatalf("by %s, %v: %s", by, period, diff)
			}
			if diff := cmp.Diff(want, series(t, whole, q)); diff != "" {
				t.Fatalf("rebuilt, by %s, %v: %s", by, period, diff)
			}
			q.Region = "west"
			if got := series(t, step, q); len(got) != 1 || !reflect.DeepEqual(got[0], want[1]) {
				t.Fatalf("of one region: %+v", got)
			}
		}
	}
}

func TestOverlapIsRefusedAndHolesAreGaps(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latency.db"))
	records := hourly(rand.New(rand.NewPCG(1, 2)), 6)
	apply(t, s, records[:3]...)
	again := *records[2].Event
	again.Last++
	q := latency.Query{Check: "ping", By: latency.Day, From: noon.Add(-48 * time.Hour), To: noon.Add(48 * time.Hour)}
	before := series(t, s, q)
	if refused := apply(t, s, latency.Record{Sequence: 4}, latency.Record{Sequence: 5, Event: &again}); refused != 1 {
		t.Error("an event that another one covers is applied")
	}
	if diff := cmp.Diff(before, series(t, s, q)); diff != "" {
		t.Error(diff)
	}
	if gaps, err := s.Gaps(t.Context(), q.From, q.To); err != nil || len(gaps) != 0 {
		t.Error(gaps, err)
	}
	records[4].Sequence = 6
	if refused := apply(t, s, records[4]); refused != 0 {
		t.Error("an event after a lost one is refused")
	}
	gaps, err := s.Gaps(t.Context(), q.From, q.To)
	if err != nil || len(gaps) != 1 || !gaps[0].From.Equal(records[2].Event.Until) {
		t.Errorf("%+v %v", gaps, err)
	}
	if p, err := s.Progress(t.Context()); err != nil || p.Sequence != 6 {
		t.Error(p, err)
	}
	events, err := s.Events(t.Context())
	if err != nil || len(events) != 4 || events[3].Last != records[4].Event.Last || len(events[3].Batches) != 1 {
		t.Errorf("%+v %v", events, err)
	}
}

// A stream that was created again, or that has less than the file, empties the file. Files of others are replaced.
func TestTheFileFitsItsStream(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.db")
	s := open(t, file)
	apply(t, s, hourly(rand.New(rand.NewPCG(1, 2)), 3)...)
	q := latency.Query{Check: "ping", By: latency.Day, From: noon.Add(-48 * time.Hour), To: noon.Add(48 * time.Hour)}
	if err := s.Follow(t.Context(), created, 3); err != nil || len(series(t, s, q)) != 2 {
		t.Error("the same stream empties the file", err)
	}
	if err := s.Follow(t.Context(), created, 2); err != nil || len(series(t, s, q)) != 0 {
		t.Error("a stream that lost its end keeps the file", err)
	}
	s.Close()
	if err := os.WriteFile(file, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, file)
	if p, err := s.Progress(t.Context()); err != nil || p.Sequence != 0 {
		t.Error(p, err)
	}
}

// A start that is interrupted leaves the file as it was.
func TestAnInterruptedStartDiscardsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.db")
	s := open(t, file)
	apply(t, s, hourly(rand.New(rand.NewPCG(1, 2)), 3)...)
	s.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := latency.Open(ctx, file); err == nil {
		t.Error("the store is open though its start was interrupted")
	}
	if p, err := open(t, file).Progress(t.Context()); err != nil || p.Sequence != 3 {
		t.Errorf("after an interrupted start the file reaches to %d: %v", p.Sequence, err)
	}
}

// names are of a catalog in which ids are names, and every agent is in the east.
type names struct{ agent string }

func (n names) Vantage() (id, region string) { return n.agent, "east" }
func (names) CheckID(_, check string) string { return check }

func observe(s *latency.Store, n uint64, at time.Time, agent string, rtt time.Duration) {
	s.Add(rollup.Message{Sequence: n, At: at, Batch: &mesh.Batch{Agent: agent, Epoch: 1, Sequence: n,
		Observations: []mesh.Observation{{Host: "h", Check: "ping", Began: at.Add(-rtt), Elapsed: rtt, RTT: rtt,
			Outcome: mesh.Reachable, Sent: 1}}}}, names{agent})
}

// What is not stored yet is in every answer, before and after it is stored.
func TestAnswersReachToThePresent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latency.db"))
	if err := s.FollowMinutes(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, 0))
	for i := range 10 {
		observe(s, uint64(i)+1, noon.Add(time.Duration(i)*10*time.Second), "a1", 20*time.Millisecond)
	}
	now := noon.Add(100 * time.Second)
	check := func(when string) {
		t.Helper()
		minutes, err := s.Minutes(t.Context(), "ping", []string{"a1"}, latency.Period{From: noon, To: now})
		if err != nil || len(minutes) != 2 || minutes[0].Outcomes.Reachable != 6 || minutes[1].Outcomes.Reachable != 4 {
			t.Errorf("%s: %+v %v", when, minutes, err)
		}
		losses, err := s.Losses(t.Context(), noon, now)
		if want := []latency.Loss{{Check: "ping", Vantage: "a1", Sent: 10}}; err != nil || !slices.Equal(losses, want) {
			t.Errorf("%s: %+v %v", when, losses, err)
		}
		q := latency.Query{Check: "ping", By: latency.Hour, From: noon, To: now}
		if got := series(t, s, q); len(got) != 1 || len(got[0].Points) != 1 || got[0].Points[0].Outcomes.Reachable != 10 {
			t.Errorf("%s: %+v", when, got)
		}
		recent, err := s.Recent(t.Context(), now)
		if err != nil || len(recent["ping"]) != 1 {
			t.Fatal(when, recent, err)
		}
		r := recent["ping"][0]
		if p50 := r.Hours.At(47).P50; r.Latest.RTT != 20*time.Millisecond || r.Day.Sent != 10 || r.Now.RTT.Count() != 10 ||
			p50 < 19*time.Millisecond || p50 > 21*time.Millisecond || r.Region != "east" {
			t.Errorf("%s: %+v", when, r)
		}
	}
	check("in memory")
	if err := s.StoreMinutes(t.Context(), 10, now, now); err != nil {
		t.Fatal(err)
	}
	check("with stored minutes")
	e, ok := s.Cut()
	check("while the event is written")
	if !ok || apply(t, s, latency.Record{Sequence: 1, Event: &e}) != 0 {
		t.Fatal("no event")
	}
	check("with a stored hour")
	// A restart reads the last messages again.
	progress, err := s.Progress(t.Context())
	if err != nil || progress.Minutes != 10 {
		t.Fatal(progress, err)
	}
	events, err := s.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Reset(rollup.NewBuilder(5, events), rollup.NewMinutes(nil, progress.Minutes))
	for i := range 10 {
		observe(s, uint64(i)+1, noon.Add(time.Duration(i)*10*time.Second), "a1", 20*time.Millisecond)
	}
	check("after a restart")
	if err := s.StoreMinutes(t.Context(), 11, now.Add(49*time.Hour), now); err != nil {
		t.Fatal(err)
	}
	minutes, err := s.Minutes(t.Context(), "ping", []string{"a1"}, latency.Period{From: noon, To: now})
	if err != nil || len(minutes) != 0 {
		t.Errorf("minutes are kept for longer than two days: %+v %v", minutes, err)
	}
}

// A step of several minutes, and one of several vantages, has the quantiles of all their observations.
func TestStepsHaveTheQuantilesOfAllTheirObservations(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latency.db"))
	s.Reset(rollup.NewBuilder(5, nil), rollup.NewMinutes(nil, 0))
	rtts := []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond, 90 * time.Millisecond}
	for i, rtt := range rtts { // a minute each
		for n, agent := range []string{"a1", "a2"} {
			at := noon.Add(time.Duration(i) * time.Minute)
			observe(s, uint64(2*i+n)+1, at, agent, rtt+time.Duration(n)*200*time.Millisecond)
		}
	}
	for _, test := range []struct {
		vantages []string
		from     time.Duration
		step     time.Duration
		at       []time.Duration
		p50      []float64 // milliseconds
	}{
		{[]string{"a1"}, 0, 0, []time.Duration{0, 1, 2, 3}, []float64{10, 50, 50, 90}},
		{[]string{"a1"}, 0, 4 * time.Minute, []time.Duration{0}, []float64{50}},
		{[]string{"a1"}, 1, 2 * time.Minute, []time.Duration{1, 3}, []float64{50, 90}},
		{[]string{"a1", "a2"}, 0, 4 * time.Minute, []time.Duration{0}, []float64{90}},
		{[]string{"a2"}, 3, 0, []time.Duration{3}, []float64{290}},
		{nil, 0, 0, nil, nil},
	} {
		points, err := s.Minutes(t.Context(), "ping", test.vantages, latency.Period{
			From: noon.Add(test.from * time.Minute), To: noon.Add(4 * time.Minute), Step: test.step,
		})
		if err != nil || len(points) != len(test.at) {
			t.Fatalf("%+v: %+v %v", test, points, err)
		}
		for i, p := range points {
			p50 := p.P50.Seconds() * 1000
			if !p.At.Equal(noon.Add(test.at[i]*time.Minute)) || p50 < .97*test.p50[i] || p50 > 1.03*test.p50[i] {
				t.Errorf("%+v: %+v", test, p)
			}
		}
	}
}
