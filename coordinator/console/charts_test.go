package console

import (
	"context"
	"encoding/json"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// One point is no line: a mesh that is minutes old has a sentence in place of an empty frame.
func TestAChartNeedsTwoPoints(t *testing.T) {
	gap := math.NaN()
	for _, test := range []struct {
		values []float64
		drawn  bool
	}{{[]float64{gap, gap}, false}, {[]float64{gap, 3}, false}, {[]float64{2, 3}, true}} {
		var out []chartView
		c := web.Chart{ID: "x", Label: "X", Step: time.Minute, Series: []web.ChartSeries{{Name: "a", Values: test.values}}}
		if err := appendCharts(&out, c); err != nil || len(out) != 1 {
			t.Fatal(out, err)
		}
		if drawn := strings.Contains(string(out[0].HTML), "<figure"); drawn != test.drawn ||
			strings.Contains(string(out[0].HTML), "Too little data for a chart yet.") == drawn {
			t.Errorf("%v: %s", test.values, out[0].HTML)
		}
	}
}

// The smoke of a line is dark from p50 to p90 and light up to p99; an hour without an answer is a gap in all three.
func TestSmokeHasP50P90AndP99(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	c := newLatencyCharts("hours", "two hours", at, 2*time.Hour, time.Hour, nil)
	c.add("LON1", []latency.Point{
		{At: at, Digest: rollup.Digest{
			Outcomes: rollup.Outcomes{Reachable: 9}, Sent: 10, Lost: 1,
			P50: 10 * time.Millisecond, P90: 20 * time.Millisecond, P99: 30 * time.Millisecond,
		}},
		{At: at.Add(time.Hour), Digest: rollup.Digest{Sent: 10, Lost: 10}},
	})
	got := c.rtt.Series[0]
	if got.Mid[0] != 20 || got.High[0] != 30 || got.Values[0] != 10 ||
		!math.IsNaN(got.Values[1]) || !math.IsNaN(got.Mid[1]) || !math.IsNaN(got.High[1]) {
		t.Errorf("%+v", got)
	}
	if data, err := json.Marshal(c.rtt.Data()); err != nil || !strings.Contains(string(data), `"lost":[10,100]`) {
		t.Errorf("the line is not colored by its losses: %s", data)
	}
	if lost := c.loss.Series[0].Values; lost[0] != 10 || lost[1] != 100 {
		t.Errorf("%v", lost)
	}
}

// A year by hour begins with its first answer, and has a gap where nothing answered.
func TestAYearBeginsWithItsFirstAnswer(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	hour := now.Truncate(time.Hour)
	answered := rollup.Digest{Outcomes: rollup.Outcomes{Reachable: 9}, Sent: 9, P50: 42 * time.Millisecond}
	r := request{
		catalog:  &catalog.Catalog{Regions: []catalog.Region{{Name: "lusaka", City: "Lusaka"}}},
		snapshot: &mesh.Snapshot{At: now},
	}
	c := hourlyCharts(r, latency.Report{Rows: []latency.Row{{Region: "lusaka", Points: []latency.Point{
		{At: hour.Add(-5 * time.Hour), Digest: rollup.Digest{Sent: 9, Lost: 9}},
		{At: hour.Add(-3 * time.Hour), Digest: answered}, {At: hour, Digest: answered},
	}}}}, nil).rtt
	values := c.Series[0].Values
	if !c.From.Equal(hour.Add(-3*time.Hour)) || c.Series[0].Name != "Lusaka" || len(values) != 4 || values[0] != 42 ||
		!math.IsNaN(values[1]) || !math.IsNaN(values[2]) || values[3] != 42 {
		t.Errorf("from %v: %+v", c.From, c.Series)
	}
}

// A region has the same color in all charts of a check: the lines are in the catalog's order, not in that of a report.
func TestLinesAreInTheOrderOfTheCatalog(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	answered := []latency.Point{{At: now.Truncate(time.Hour), Digest: rollup.Digest{
		Outcomes: rollup.Outcomes{Reachable: 9}, Sent: 9, P50: 42 * time.Millisecond,
	}}}
	r := request{catalog: &catalog.Catalog{Regions: []catalog.Region{
		{Name: "vancouver", City: "Vancouver"}, {Name: "new-york", City: "New York"}, {Name: "lusaka", City: "Lusaka"},
	}}, snapshot: &mesh.Snapshot{At: now}}
	charts := hourlyCharts(r, latency.Report{Rows: []latency.Row{
		{Region: "lusaka", Points: answered}, {Region: "new-york", Points: answered},
		{Region: "vancouver", Points: answered},
	}}, nil)
	for _, c := range charts.both() {
		var names []string
		for _, line := range c.Series {
			names = append(names, line.Name)
		}
		if got := strings.Join(names, ", "); got != "Vancouver, New York, Lusaka" {
			t.Errorf("%s: %s", c.ID, got)
		}
	}
}

// changed is a source of changes of verdicts.
type changed struct {
	Source
	all []mesh.Transition // oldest first
}

func (c changed) TransitionsIn(
	_ context.Context, _ string, since, until time.Time, _ int,
) ([]mesh.Transition, error) {
	return slices.DeleteFunc(slices.Clone(c.all), func(t mesh.Transition) bool {
		return t.Published.Before(since) || !until.IsZero() && t.Published.After(until)
	}), nil
}

// A chart shades the outages that last in its time, also one that began before it, and what was so at the moment that
// is shown.
func TestChartsShadeWhatLasts(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	change := func(after time.Duration, check string, v mesh.Verdict) mesh.Transition {
		return mesh.Transition{Check: check, Verdict: v, Began: at.Add(after), Published: at.Add(after + time.Second)}
	}
	watched := &catalog.Catalog{Hosts: []catalog.Host{{Name: "NC036"}}}
	s := &console{config: Config{Source: changed{all: []mesh.Transition{
		change(-20*time.Hour, "smtp", mesh.Down), change(-19*time.Hour, "smtp", mesh.Up),
		change(-9*time.Hour, "smtp", mesh.Down), change(-8*time.Hour, "ping", mesh.Down),
		change(5*time.Hour, "smtp", mesh.Up), change(6*time.Hour, "smtp", mesh.Down),
	}}}}
	for _, test := range []struct {
		shown time.Time
		want  string
	}{
		{at, "smtp is down 03:00 to 12:00; moved 11:30"},
		{at.Add(5*time.Hour + 30*time.Minute), "smtp is down 03:00 to 17:00"},
		{at.Add(7 * time.Hour), "smtp is down 18:00 to 19:00"},
	} {
		r := request{
			Request: httptest.NewRequest("GET", "/", nil), snapshot: &mesh.Snapshot{At: test.shown}, moment: test.shown,
			catalog: watched, present: watched,
		}
		marks, err := s.chartMarks(r, "NC036", "smtp", []event{{At: at.Add(-30 * time.Minute), Text: "moved"}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range web.MarksSince(marks, test.shown.Add(-time.Hour)) {
			text := m.Name + " " + m.From.Format("15:04")
			if !m.To.IsZero() {
				text += " to " + m.To.Format("15:04")
			}
			got = append(got, text)
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("at %v: %q, want %q", test.shown, got, test.want)
		}
	}
}

// The axis of a change has whole units, and its zero no sign.
func TestTheAxisHasWholeUnits(t *testing.T) {
	began := time.Date(2026, 3, 1, 2, 31, 0, 123e6, time.UTC)
	if newAxis(mesh.Transition{Published: began}, []judge.Event{{At: began}}, nil) != nil {
		t.Error("a change of which nobody knows when it began has an axis")
	}
	for took, want := range map[time.Duration]string{
		200 * time.Millisecond: "-1 s, 0 s",
		3 * time.Second:        "-3 s, -2 s, -1 s, 0 s, +1 s, +2 s, +3 s",
		20 * time.Second:       "-20 s, -15 s, -10 s, -5 s, 0 s, +5 s, +10 s, +15 s, +20 s",
		10 * time.Minute:       "0 s, +2 min, +4 min, +6 min, +8 min, +10 min",
	} {
		a := newAxis(mesh.Transition{Began: began, Published: began.Add(took)}, []judge.Event{{At: began}}, nil)
		var got []string
		for _, tick := range a.Ticks {
			got = append(got, tick.Text)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%v: %q", took, got)
		}
	}
}
