package rollup_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// names is a catalog in which a check's id is its name, and agents "a1", "a2" ... are in region "a".
type names struct{ agent string }

func (n names) Vantage() (id, region string) {
	if n.agent == "" {
		return "", ""
	}
	return n.agent, n.agent[:1]
}

func (names) CheckID(_, check string) string {
	if check == "removed" {
		return ""
	}
	return check
}

func observation(check string, ended time.Time, outcome mesh.Outcome, rtt time.Duration) mesh.Observation {
	return mesh.Observation{Host: "nc1", Check: check, Began: ended.Add(-rtt), Elapsed: rtt, RTT: rtt, Outcome: outcome,
		Sent: 4, Lost: 1}
}

func batch(agent string, sequence uint64, observations ...mesh.Observation) *mesh.Batch {
	return &mesh.Batch{Agent: agent, Epoch: 7, Sequence: sequence, Observations: observations}
}

// add adds a message with the names of its batch's agent.
func add(b *rollup.Builder, m rollup.Message) {
	n := names{}
	if m.Batch != nil {
		n.agent = m.Batch.Agent
	}
	b.Add(m, n)
}

func cut(t *testing.T, b *rollup.Builder) rollup.Event {
	t.Helper()
	e, ok := b.Cut()
	if !ok {
		t.Fatal("nothing to cut")
	}
	return e
}

func TestAnEventCoversARangeAndItsHours(t *testing.T) {
	b := rollup.NewBuilder(1, nil)
	late := observation("ping", noon.Add(-2*time.Hour), mesh.Unreachable, 0)
	put := func(n uint64, after time.Duration, batch *mesh.Batch) {
		add(b, rollup.Message{Sequence: n, At: noon.Add(after), Batch: batch})
	}
	put(5, 0, batch("a1", 1, observation("ping", noon, mesh.Reachable, 20*time.Millisecond), late))
	put(6, time.Second, nil)
	put(9, 2*time.Second, batch("a1", 1, observation("ping", noon, mesh.Reachable, time.Millisecond))) // again
	put(9, 2*time.Second, batch("a1", 9))                                                              // covered
	put(10, 32*time.Second, batch("a2", 2, observation("ping", noon.Add(30*time.Second), mesh.Slow, time.Second),
		observation("removed", noon, mesh.Reachable, 1), observation("ping", noon.Add(-49*time.Hour), mesh.Reachable, 1),
		observation("ping", noon.Add(time.Hour), mesh.Reachable, 1)))
	if b.Due() {
		t.Error("an event is due within its hour")
	}
	put(11, 65*time.Minute, batch("b1", 1, observation("ping", noon.Add(time.Hour), mesh.Inconclusive, 0)))
	if !b.Due() {
		t.Error("no event is due five minutes after the hour")
	}
	e := cut(t, b)
	if e.First != 1 || e.Last != 11 || b.Next() != 12 || len(e.Summaries) != 3 {
		t.Fatalf("%d to %d, then %d: %+v", e.First, e.Last, b.Next(), e.Summaries)
	}
	hour := rollup.HourOf(noon)
	now := e.Summaries[rollup.Key{Hour: hour, Check: "ping", Region: "a"}]
	if now.Outcomes != (rollup.Outcomes{Reachable: 1, Slow: 1}) || now.Sent != 8 || now.Lost != 2 || now.RTT.Count() != 2 {
		t.Errorf("%+v", now)
	}
	before := e.Summaries[rollup.Key{Hour: hour - 2, Check: "ping", Region: "a"}]
	if worst, bad := before.Worst(); before.Outcomes.Unreachable != 1 || worst != "a1" || bad != 1 {
		t.Errorf("%+v", before)
	}
	ours := e.Summaries[rollup.Key{Hour: hour + 1, Check: "ping", Region: "b"}]
	if ours.Outcomes != (rollup.Outcomes{Inconclusive: 1}) || ours.Sent != 0 || ours.RTT.Count() != 0 {
		t.Errorf("%+v", ours)
	}
	want := []rollup.Gap{
		{From: noon.Add(2 * time.Second), To: noon.Add(32 * time.Second)},
		{From: noon.Add(32 * time.Second), To: noon.Add(65 * time.Minute)},
	}
	if !slices.Equal(e.Gaps, want) {
		t.Errorf("gaps %v", e.Gaps)
	}
	if _, ok := b.Cut(); ok {
		t.Error("an empty event")
	}
}

// A first miss is reported before its result, which has its probes, too: only the result is counted.
func TestAFirstMissIsNotCountedTwice(t *testing.T) {
	missed := observation("ping", noon, mesh.Unreachable, 0)
	missed.Stage, missed.Sent, missed.Lost = mesh.Missed, 1, 1
	result := observation("ping", noon.Add(time.Second), mesh.Reachable, time.Millisecond)
	result.Sent, result.Lost = 2, 1
	m := rollup.Message{Sequence: 1, At: noon.Add(time.Second), Batch: batch("a1", 1, missed, result)}
	b, minutes := rollup.NewBuilder(1, nil), rollup.NewMinutes(nil, 0)
	add(b, m)
	minutes.Add(m, names{"a1"})
	hour := cut(t, b).Summaries[rollup.Key{Hour: rollup.HourOf(noon), Check: "ping", Region: "a"}]
	minute := minutes.Pending()[rollup.MinuteKey{Minute: rollup.MinuteOf(noon), Check: "ping", Vantage: "a1"}]
	for _, s := range []rollup.Summary{hour, minute} {
		if s.Outcomes != (rollup.Outcomes{Reachable: 1}) || s.Sent != 2 || s.Lost != 1 || len(s.Bad) != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A restart continues where the last event ended, counts no batch twice, and records what aged out meanwhile as a gap.
func TestARestartContinues(t *testing.T) {
	b := rollup.NewBuilder(1, nil)
	add(b, rollup.Message{Sequence: 3, At: noon, Batch: batch("a1", 4, observation("ping", noon, mesh.Slow, 1))})
	first := cut(t, b)
	stored, err := rollup.Decode(rollup.Encode(first))
	if err != nil {
		t.Fatal(err)
	}
	b = rollup.NewBuilder(1, []rollup.Event{stored})
	if b.Next() != 4 {
		t.Errorf("it continues at %d", b.Next())
	}
	later := noon.Add(time.Hour)
	again, next := batch("a1", 4, observation("ping", noon, mesh.Slow, 1)), batch("a1", 5)
	next.Observations = append(next.Observations, observation("ping", later, mesh.Slow, 1))
	add(b, rollup.Message{Sequence: 90, At: later, Batch: again})
	add(b, rollup.Message{Sequence: 91, At: later, Batch: next})
	second := cut(t, b)
	if len(second.Summaries) != 1 || second.CheckFollows(first) != nil || len(second.Gaps) != 1 ||
		!slices.Equal(second.Batches, []rollup.Batches{{Agent: "a1", Epoch: 7, First: 5, Last: 5}}) {
		t.Errorf("%+v", second)
	}
	if replaced := rollup.NewBuilder(2, []rollup.Event{stored}); replaced.Next() != 1 {
		t.Errorf("a stream that was created again continues at %d", replaced.Next())
	}
}

func TestOverlapAndHolesAreRefused(t *testing.T) {
	last := rollup.Event{Stream: 5, First: 1, Last: 10}
	for _, test := range []struct {
		next rollup.Event
		want error
	}{
		{rollup.Event{Stream: 5, First: 11, Last: 11}, nil},
		{rollup.Event{Stream: 5, First: 10, Last: 20}, rollup.ErrOverlap},
		{rollup.Event{Stream: 5, First: 1, Last: 10}, rollup.ErrOverlap},
		{rollup.Event{Stream: 5, First: 12, Last: 20}, rollup.ErrHole},
		{rollup.Event{Stream: 6, First: 1, Last: 3}, nil},
		{rollup.Event{Stream: 4, First: 11, Last: 12}, rollup.ErrOverlap},
	} {
		if err := test.next.CheckFollows(last); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.next, err, test.want)
		}
	}
	if err := (rollup.Event{Stream: 5, First: 1, Last: 2}).CheckFollows(rollup.Event{}); err != nil {
		t.Error("the first event: ", err)
	}
}

func genSummary(t *rapid.T, name string) (s rollup.Summary) {
	for range rapid.IntRange(0, 30).Draw(t, name) {
		s.Add(rapid.SampledFrom([]string{"a1", "a2", "b1"}).Draw(t, "vantage"), mesh.Observation{
			Outcome: mesh.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome")), Sent: rapid.IntRange(-1, 6).Draw(t, "sent"),
			Lost: rapid.IntRange(-1, 9).Draw(t, "lost"), RTT: time.Duration(rapid.Int64().Draw(t, "rtt")),
		})
	}
	return s
}

func merged(all ...rollup.Summary) rollup.Summary {
	var out rollup.Summary
	for _, s := range all {
		out.Merge(s)
	}
	return out
}

func encoded(s rollup.Summary) []byte {
	key := rollup.Key{Hour: 9, Check: "c", Region: "r"}
	return rollup.Encode(rollup.Event{First: 1, Last: 1, Until: noon, Summaries: map[rollup.Key]rollup.Summary{key: s}})
}

func TestMergesCommuteAndAssociate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genSummary(t, "a"), genSummary(t, "b"), genSummary(t, "c")
		want := encoded(merged(a, b, c))
		for name, other := range map[string]rollup.Summary{
			"c, b, a": merged(c, b, a), "a, (b, c)": merged(a, merged(b, c)), "(b, a), c": merged(merged(b, a), c),
		} {
			if !bytes.Equal(encoded(other), want) {
				t.Fatalf("%s differs: %+v", name, other)
			}
		}
		if s := merged(a, b, c); s.Lost > s.Sent || s.Outcomes.Reachable+s.Outcomes.Slow != s.RTT.Count() {
			t.Fatalf("impossible counts: %+v", s)
		}
	})
}

func TestQuantilesAreAccurate(t *testing.T) {
	var s rollup.Summary
	for i := 1; i <= 10_000; i++ {
		s.Add("a", mesh.Observation{Outcome: mesh.Reachable, Sent: 1, RTT: time.Duration(i) * 100 * time.Microsecond})
	}
	for q, want := range map[float64]float64{0.5: 500, 0.95: 950, 0.99: 990, 0: 0.1, 1: 1000} {
		got, ok := s.RTT.Quantile(q)
		if ms := got.Seconds() * 1000; !ok || math.Abs(ms-want) > want*(rollup.Accuracy+0.001) {
			t.Errorf("quantile %v is %v, want %v ms", q, got, want)
		}
	}
	if _, ok := (rollup.Sketch{}).Quantile(0.5); ok {
		t.Error("an empty sketch has a median")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(rollup.Encode(rollup.Event{First: 1, Last: 1, Until: noon}))
	f.Add(rollup.Encode(syntheticHour(rand.New(rand.NewPCG(1, 2)), 7, 2, 2, 2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := rollup.Decode(data)
		if err != nil {
			return
		}
		again, err := rollup.Decode(rollup.Encode(e))
		if err != nil || !bytes.Equal(rollup.Encode(again), rollup.Encode(e)) {
			t.Errorf("%+v is decoded as %+v (%v)", e, again, err)
		}
	})
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	good := rollup.Encode(syntheticHour(rand.New(rand.NewPCG(1, 2)), 7, 2, 2, 2))
	if _, err := rollup.Decode(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if _, err := rollup.Decode(good[:i]); err == nil {
			t.Errorf("the first %d bytes of %d are an event", i, len(good))
		}
	}
	if _, err := rollup.Decode(append(slices.Clone(good), 0)); err == nil {
		t.Error("a byte more is an event")
	}
	for at, name := range map[int]string{0: "another version", 1: "another accuracy"} {
		wrong := slices.Clone(good)
		wrong[at]++
		if _, err := rollup.Decode(wrong); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// syntheticHour is an hour of a mesh that probes every ten seconds from one vantage a region: round-trip times vary
// by a tenth, and one probe in five hundred is lost.
func syntheticHour(random *rand.Rand, hour int64, hosts, checks, regions int) rollup.Event {
	e := rollup.Event{Stream: noon.UnixNano(), First: uint64(hour) * 9000, Last: uint64(hour)*9000 + 8999,
		Until: noon, Summaries: map[rollup.Key]rollup.Summary{}}
	for r := range regions {
		e.Batches = append(e.Batches, rollup.Batches{Agent: fmt.Sprintf("nc%03d", r), Epoch: 1 << 62,
			First: uint64(hour) * 1800, Last: uint64(hour)*1800 + 1799})
		for c := range hosts * checks {
			key := rollup.Key{Hour: hour, Check: fmt.Sprintf("check-id-%011d", c), Region: fmt.Sprintf("region-%d", r)}
			base := float64((1 + (c*7+r*13)%200)) * 1e6
			var s rollup.Summary
			for range 360 {
				o := mesh.Observation{Outcome: mesh.Reachable, Sent: 1, RTT: time.Duration(base * (1 + random.NormFloat64()/10))}
				if random.IntN(500) == 0 {
					o.Outcome, o.Lost = mesh.Unreachable, 1
				}
				s.Add(e.Batches[r].Agent, o)
			}
			e.Summaries[key] = s
		}
	}
	return e
}

// A year of ten hosts with three checks each, seen from eight regions, must fit in 150 MB.
func TestAYearFits(t *testing.T) {
	const sample, hoursOfYear, mesh10, limit = 24, 365 * 24, 10, 150 << 20
	random, bytes := rand.New(rand.NewPCG(3, 4)), 0
	for hour := range int64(sample) {
		bytes += len(rollup.Encode(syntheticHour(random, 480_000+hour, mesh10, 3, 8)))
	}
	year := bytes / sample * hoursOfYear
	t.Logf("an hour is %d bytes, a year %d MB", bytes/sample, year>>20)
	if year > limit {
		t.Errorf("a year is %d MB", year>>20)
	}
}

// A day's digests are read as they were written, whatever the hours had.
func TestADayIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var hours [rollup.HoursOfDay]rollup.Digest
		for range rapid.IntRange(0, 30).Draw(t, "hours") {
			s := genSummary(t, "summary")
			if rapid.IntRange(0, 9).Draw(t, "from an event without vantages") == 0 {
				s.Bad = nil
			}
			hours[rapid.IntRange(0, rollup.HoursOfDay-1).Draw(t, "hour")] = s.Digest()
		}
		data := rollup.EncodeDay(&hours)
		if got, err := rollup.DecodeDay(data); err != nil || got != hours {
			t.Fatalf("%+v are read as %+v (%v)", hours, got, err)
		}
		if cut := rapid.IntRange(0, len(data)).Draw(t, "cut"); cut < len(data) {
			_, _ = rollup.DecodeDay(data[:cut]) // may be a day with fewer hours, and must not panic
		}
	})
}

// A digest has the quantiles of its summary, and a summary that was encoded by itself is the same.
func TestASummaryIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSummary(t, "summary")
		got, rest, err := rollup.DecodeSummary(append(rollup.EncodeSummary(s), 7))
		if err != nil || len(rest) != 1 || !bytes.Equal(encoded(got), encoded(s)) {
			t.Fatalf("%+v is read as %+v (%v)", s, got, err)
		}
		d := s.Digest()
		for q, have := range map[float64]time.Duration{0.5: d.P50, 0.9: d.P90, 0.95: d.P95, 0.99: d.P99} {
			if want, _ := s.RTT.Quantile(q); have != want {
				t.Fatalf("quantile %v is %s, want %s", q, have, want)
			}
		}
	})
}

// What follows a summary is found without reading it, and data that was cut off is refused.
func TestASummaryIsSkipped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rollup.EncodeSummary(genSummary(t, "summary"))
		if rest, err := rollup.SkipSummary(append(data, 7, 8)); err != nil || !bytes.Equal(rest, []byte{7, 8}) {
			t.Fatalf("after the summary there is %v: %v", rest, err)
		}
		if rest, err := rollup.SkipSummary(data[:len(data)-1]); err == nil {
			t.Fatalf("a summary that was cut off is followed by %v", rest)
		}
	})
}

// A summary that was merged and subtracted leaves no trace.
func TestSubtractUndoesMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genSummary(t, "a"), genSummary(t, "b")
		want := encoded(a)
		both := merged(a, b)
		both.Subtract(b)
		if !bytes.Equal(encoded(both), want) {
			t.Fatalf("%+v differs from %+v", both, a)
		}
	})
}

// A stream that lost its end, or was created again, gets another id, and never a smaller one than an event has.
func TestStreamID(t *testing.T) {
	for _, test := range []struct {
		created int64
		end     uint64
		last    rollup.Event
		want    int64
	}{
		{5000, 10, rollup.Event{}, 5000},
		{5000, 10, rollup.Event{Stream: 5000, Last: 10}, 5000},
		{5000, 9, rollup.Event{Stream: 5000, Last: 10}, 5001},
		{5000, 12, rollup.Event{Stream: 5001, Last: 10}, 5001},
		{9000, 1, rollup.Event{Stream: 5001, Last: 10}, 9000},
		{3000, 1, rollup.Event{Stream: 5001, Last: 10}, 5002}, // the clock was stepped back
	} {
		if got := rollup.StreamID(test.created, test.end, test.last); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}
