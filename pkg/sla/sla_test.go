package sla_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// chain makes spans that succeed each other: each is published some seconds after it began.
func chain(after float64, states ...struct {
	at    float64
	state sla.State
}) (out []sla.Span) {
	for _, s := range states {
		if n := len(out); n > 0 {
			out[n-1].Until = at(s.at + after)
		}
		out = append(out, sla.Span{State: s.state, Began: at(s.at), Published: at(s.at + after)})
	}
	return out
}

type step = struct {
	at    float64
	state sla.State
}

func TestTimesCountFromTheCauseAndAgainstUs(t *testing.T) {
	for name, test := range map[string]struct {
		spans             []sla.Span
		maintenance, gaps []sla.Window
		want              sla.Times
	}{
		"nothing published":       {want: sla.Times{NoData: 100}},
		"a second starts and end": {spans: chain(8, step{10, sla.Up}), want: sla.Times{NoData: 10, Up: 90}},
		"an outage within a second": {
			spans: chain(8, step{-50, sla.Up}, step{10.2, sla.Down}, step{10.8, sla.Up}),
			want:  sla.Times{Up: 99, Down: 1},
		},
		"unknown is never up": {
			spans: chain(1, step{-50, sla.Up}, step{10.9, sla.NoData}, step{20.1, sla.Up}),
			want:  sla.Times{Up: 89, NoData: 11},
		},
		"two checks recover at once": {
			spans: []sla.Span{
				{State: sla.Down, Began: at(10), Published: at(18), Until: at(48)},
				{State: sla.Up, Began: at(40), Published: at(48)},
				{State: sla.Partial, Began: at(40), Published: at(48), Until: at(48)},
				{State: sla.Up, Began: at(-50), Published: at(-40), Until: at(18)},
			},
			want: sla.Times{Up: 62, Down: 30, Partial: 8},
		},
		"two checks fail at once": {
			spans: []sla.Span{
				{State: sla.Down, Began: at(20), Published: at(28)},
				{State: sla.Partial, Began: at(10), Published: at(28), Until: at(28)},
				{State: sla.Up, Began: at(-50), Published: at(-40), Until: at(28)},
			},
			want: sla.Times{Up: 10, Down: 80, Partial: 10},
		},
		"no longer watched": {
			spans: []sla.Span{{State: sla.Down, Began: at(-5), Published: at(-1), Until: at(40)}},
			want:  sla.Times{Down: 40, NoData: 60},
		},
		"watched again": {
			spans: []sla.Span{
				{State: sla.Up, Began: at(-5), Published: at(-1), Until: at(40)},
				{State: sla.Up, Began: at(60), Published: at(61)},
			},
			want: sla.Times{Up: 80, NoData: 20},
		},
		"a cause from before what was published": {
			spans: []sla.Span{
				{State: sla.Up, Began: at(-9), Published: at(-8), Until: at(60)},
				{State: sla.Down, Began: at(50), Published: at(60), Until: at(65)},
				{State: sla.Up, Began: at(30), Published: at(65), Until: at(70)},
				{State: sla.Partial, Began: at(20), Published: at(70)},
			},
			want: sla.Times{Up: 50, Down: 15, Partial: 35},
		},
		"a gap hides what was published, a maintenance hides both": {
			spans:       chain(1, step{-50, sla.Up}, step{10, sla.Down}),
			gaps:        []sla.Window{{From: at(4.5), To: at(30.5)}, {From: at(20), To: at(25)}},
			maintenance: []sla.Window{{From: at(20.5), To: at(40.5)}},
			want:        sla.Times{Up: 4, NoData: 17, Maintenance: 19, Down: 60},
		},
	} {
		got := sla.New(test.spans, test.maintenance, test.gaps).Measure(noon, at(100))
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func genTime(t *rapid.T, name string) time.Time {
	return noon.Add(time.Duration(rapid.Int64Range(-2000, 12_000).Draw(t, name)) * 100 * time.Millisecond)
}

func genWindows(t *rapid.T, name string) (out []sla.Window) {
	for range rapid.IntRange(0, 4).Draw(t, name) {
		out = append(out, sla.Window{From: genTime(t, "from"), To: genTime(t, "to")})
	}
	return out
}

func genSpans(t *rapid.T) (out []sla.Span) {
	for range rapid.IntRange(0, 8).Draw(t, "spans") {
		s := sla.Span{State: sla.State(rapid.IntRange(0, 4).Draw(t, "state")), Published: genTime(t, "published")}
		s.Began = s.Published.Add(-time.Duration(rapid.IntRange(0, 300).Draw(t, "late")) * 100 * time.Millisecond)
		if rapid.Bool().Draw(t, "ended") {
			s.Until = s.Published.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "lasted")) * 100 * time.Millisecond)
		}
		out = append(out, s)
	}
	return out
}

// The five add up to the whole, any split of a period sums to the period, and the order of events does not matter.
func TestTimesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans, maintenance, gaps := genSpans(t), genWindows(t, "maintenance"), genWindows(t, "gaps")
		line := sla.New(spans, maintenance, gaps)
		a, b := noon.Unix(), noon.Unix()+rapid.Int64Range(0, 1000).Draw(t, "length")
		middle := rapid.Int64Range(a, b).Draw(t, "middle")
		second := func(n int64) time.Time { return time.Unix(n, 0) }
		whole := line.Measure(second(a), second(b))
		if whole.Total() != b-a {
			t.Fatalf("%+v of %d s", whole, b-a)
		}
		if parts := line.Measure(second(a), second(middle)).Plus(line.Measure(second(middle), second(b))); parts != whole {
			t.Fatalf("the parts are %+v, the whole %+v", parts, whole)
		}
		shuffled := sla.New(rapid.Permutation(spans).Draw(t, "order"), rapid.Permutation(maintenance).Draw(t, "m"),
			rapid.Permutation(gaps).Draw(t, "g")).Measure(second(a), second(b))
		if shuffled != whole {
			t.Fatalf("in another order %+v, before %+v", shuffled, whole)
		}
	})
}

// An outage has its length, rounded to more seconds, however short it was.
func TestAnOutageIsNeverRoundedAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.Float64Range(1, 90).Draw(t, "begin")
		length := rapid.Float64Range(0.001, 5).Draw(t, "length")
		state := rapid.SampledFrom([]sla.State{sla.Down, sla.Partial, sla.NoData}).Draw(t, "state")
		got := sla.New(chain(8, step{-10, sla.Up}, step{begin, state}, step{begin + length, sla.Up}), nil, nil).
			Measure(noon, at(100))
		if bad := float64(100 - got.Up); bad < length-0.001 || bad > length+2 {
			t.Fatalf("%v s are measured as %+v", length, got)
		}
	})
}

func TestEveryVerdictAndStatusCounts(t *testing.T) {
	for _, v := range mesh.Verdicts() {
		up := v == mesh.Up || v == mesh.Degraded
		if got := sla.OfVerdict(v); (got == sla.Up) != up || (got == sla.NoData) != (v == mesh.Unknown || v == mesh.Pending) {
			t.Errorf("%s counts as %d", v, got)
		}
	}
	for _, s := range mesh.Statuses() {
		up := s == mesh.Operational || s == mesh.DegradedPerformance
		if got := sla.OfStatus(s); (got == sla.Up) != up || (got == sla.NoData) != (s == mesh.StatusUnknown) {
			t.Errorf("%s counts as %d", s, got)
		}
	}
	if sla.OfVerdict("new") != sla.NoData || sla.OfStatus("new") != sla.NoData {
		t.Error("what this version does not know counts as up or down")
	}
}

func TestAnUptimeIsRoundedDown(t *testing.T) {
	for _, test := range []struct {
		good, counted int64
		want          string
	}{
		{0, 0, "no data"}, {5, 5, "100 %"}, {99_996, 100_000, "99.996 %"}, {2_591_999, 2_592_000, "99.999 %"},
		{1<<40 - 1, 1 << 40, "99.999 %"}, {0, 9, "0.000 %"}, {999, 1000, "99.900 %"},
	} {
		r := sla.Ratio{Good: test.good, Counted: test.counted}
		if got := r.String(); got != test.want {
			t.Errorf("%d of %d is %q, want %q", test.good, test.counted, got, test.want)
		}
		if p := r.Percent(); (p == nil) != (test.counted == 0) || p != nil && *p == 100 && test.good < test.counted {
			t.Errorf("%d of %d is %v percent", test.good, test.counted, p)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		counted := rapid.Int64Range(1, 1<<35).Draw(t, "counted")
		r := sla.Ratio{Good: counted - rapid.Int64Range(1, counted).Draw(t, "bad"), Counted: counted}
		if strings.HasPrefix(r.String(), "100") || *r.Percent() >= 100 {
			t.Fatalf("%+v is %s", r, r)
		}
	})
}

func TestMethods(t *testing.T) {
	times := sla.Times{Up: 9970, Down: 10, Partial: 20, Maintenance: 100, NoData: 5000}
	m := sla.DefaultMethod()
	m.Credits = []sla.Credit{{Below: 99.9, Percent: 10}, {Below: 99, Percent: 30}}
	if r := m.Uptime(times); r != (sla.Ratio{Good: 9970, Counted: 10_000}) || *m.Met(r) || m.Credit(r) != 10 {
		t.Errorf("by default %v, met %v, credit %v", r, *m.Met(r), m.Credit(r))
	}
	m.Partial = sla.CountsUp
	if r := m.Uptime(times); r.String() != "99.900 %" || !*m.Met(r) || m.Credit(r) != 0 {
		t.Errorf("exactly the target is %v, met %v, credit %v", r, *m.Met(r), m.Credit(r))
	}
	m.Maintenance = sla.CountsDown
	if r := m.Uptime(times); r != (sla.Ratio{Good: 9990, Counted: 10_100}) || m.Credit(r) != 30 {
		t.Errorf("maintenance as down is %v, credit %v", r, m.Credit(r))
	}
	m.Maintenance = sla.CountsUp
	if r := m.Uptime(times); r != (sla.Ratio{Good: 10_090, Counted: 10_100}) {
		t.Errorf("maintenance as up is %v", r)
	}
	none := m.Uptime(sla.Times{NoData: 5})
	if m.Met(none) != nil || m.Credit(none) != 0 || none.Percent() != nil {
		t.Error("no data meets or misses a target")
	}
}

func TestMethodsAreChecked(t *testing.T) {
	if err := sla.DefaultMethod().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*sla.Method){
		func(m *sla.Method) { m.Target = 100.1 },
		func(m *sla.Method) { m.Target = -1 },
		func(m *sla.Method) { m.Partial = sla.CountsExcluded },
		func(m *sla.Method) { m.Maintenance = "" },
		func(m *sla.Method) { m.Credits = []sla.Credit{{Below: 101, Percent: 1}} },
		func(m *sla.Method) { m.Credits = []sla.Credit{{Below: 99, Percent: -1}} },
		func(m *sla.Method) { m.Credits = make([]sla.Credit, sla.CreditsMax+1) },
	} {
		m := sla.DefaultMethod()
		if change(&m); m.Validate() == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
}
