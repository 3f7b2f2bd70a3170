package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// chartView is a chart with its caption.
type chartView struct {
	Title string
	HTML  template.HTML
}

// tooLittle is shown in place of a chart of a young mesh: one point is no line.
const tooLittle template.HTML = `<p class="soft">Too little data for a chart yet.</p>`

// countValues counts the values of a line that are no gaps.
func countValues(s web.ChartSeries) (n int) {
	for _, v := range s.Values {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}

// appendCharts appends the charts that have a line, and one sentence for others that follow one another. A chart that
// reads its values has a line if there is a value in its table, whose steps are longer.
func appendCharts(out *[]chartView, charts ...web.Chart) error {
	for _, c := range charts {
		series, enough := c.Series, 2
		if c.Source != "" {
			series, enough = c.Table.Series, 1
		}
		if len(series) == 0 {
			continue
		}
		if !slices.ContainsFunc(series, func(s web.ChartSeries) bool { return countValues(s) >= enough }) {
			if n := len(*out); n > 0 && (*out)[n-1].HTML == tooLittle {
				(*out)[n-1].Title += "; " + lowerFirst(c.Label)
				continue
			}
			*out = append(*out, chartView{c.Label, tooLittle})
			continue
		}
		html, err := c.HTML()
		if err != nil {
			return err
		}
		*out = append(*out, chartView{c.Label, html})
	}
	return nil
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// latencyCharts are a chart of round-trip times and one of losses, of the same time and lines.
type latencyCharts struct {
	name      string // of their span and steps
	rtt, loss web.Chart
	steps     int // how many values a line has
}

// newLatencyCharts returns charts without lines, of a span from a time on.
func newLatencyCharts(id, name string, from time.Time, span, step time.Duration, marks []web.ChartMark) latencyCharts {
	return latencyCharts{
		name: name,
		rtt: web.Chart{
			ID: "rtt-" + id, Label: "Round-trip time, " + name + ": median, p90 and p99", Unit: "ms", From: from, Step: step,
			Marks: web.MarksSince(marks, from),
		},
		loss:  web.Chart{ID: "loss-" + id, Label: "Lost probes, " + name, Unit: "%", From: from, Step: step},
		steps: int(span / step),
	}
}

func (c latencyCharts) both() []web.Chart { return []web.Chart{c.rtt, c.loss} }

// medians returns the charts without smoke: in a table of many lines, p90 and p99 are too much.
func (c latencyCharts) medians() latencyCharts {
	c.rtt.Label = "Round-trip time, " + c.name + ": median"
	c.rtt.Series = slices.Clone(c.rtt.Series)
	for i := range c.rtt.Series {
		c.rtt.Series[i].Mid, c.rtt.Series[i].High = nil, nil
	}
	return c
}

// add adds the line of medians with its smoke, dark up to p90 and light up to p99, and the losses, which color it and
// have a line of their own.
func (c *latencyCharts) add(name string, points []latency.Point) {
	if len(points) == 0 {
		return
	}
	median, mid, high, lost := gaps(c.steps), gaps(c.steps), gaps(c.steps), gaps(c.steps)
	for _, p := range points {
		i := int(p.At.Sub(c.rtt.From) / c.rtt.Step)
		if p.At.Before(c.rtt.From) || i >= c.steps {
			continue
		}
		if p.Answered() {
			median[i], mid[i], high[i] = milliseconds(p.P50), milliseconds(p.P90), milliseconds(p.P99)
		}
		if p.Sent > 0 {
			lost[i] = 100 * p.Loss()
		}
	}
	c.rtt.Series = append(c.rtt.Series, web.ChartSeries{Name: name, Values: median, Mid: mid, High: high, Lost: lost})
	c.loss.Series = append(c.loss.Series, web.ChartSeries{Name: name, Values: lost})
}

// addRegions adds a line for each region, in the catalog's order: a region has the same color in all charts of a check.
func (c *latencyCharts) addRegions(catalog *catalog.Catalog, report latency.Report) {
	position := regionOrder(catalog)
	rows := slices.SortedStableFunc(slices.Values(report.Rows), func(a, b latency.Row) int {
		return position[a.Region] - position[b.Region]
	})
	for _, row := range rows {
		c.add(sentence.City(catalog, row.Region), row.Points)
	}
}

// readFrom has the drawings read their values from the address of a page, which has them as its charts of these ids.
// The page with the drawings has the tables of other charts, whose steps are longer.
func (c *latencyCharts) readFrom(r request, address string, tables latencyCharts) {
	for _, one := range []struct{ chart, table *web.Chart }{{&c.rtt, &tables.rtt}, {&c.loss, &tables.loss}} {
		one.chart.Source, one.chart.Table = r.chartAddress(address, one.chart.ID), one.table
	}
}

// chartAddress returns where a page has the values of a chart, at the moment that is shown.
func (r request) chartAddress(address, id string) string {
	query := url.Values{"format": {formatChart}, "chart": {id}}
	for _, key := range []string{"at", "with"} {
		if value := r.URL.Query().Get(key); value != "" {
			query.Set(key, value)
		}
	}
	return address + "?" + query.Encode()
}

// rounded returns a digest with times as people read them.
func rounded(d rollup.Digest) rollup.Digest {
	for _, p := range []*time.Duration{&d.P50, &d.P90, &d.P99} {
		*p = p.Round(100 * time.Microsecond)
	}
	return d
}

func gaps(n int) []float64 { return slices.Repeat([]float64{math.NaN()}, n) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

var digestColumns = []string{
	"reachable", "slow", "unreachable", "inconclusive", "sent", "lost", "p50_seconds", "p90_seconds", "p99_seconds",
}

func digestCells(d rollup.Digest) []any {
	cells := []any{
		d.Outcomes.Reachable, d.Outcomes.Slow, d.Outcomes.Unreachable, d.Outcomes.Inconclusive, d.Sent, d.Lost, nil, nil, nil,
	}
	if d.Answered() {
		cells[6], cells[7], cells[8] = d.P50, d.P90, d.P99
	}
	return cells
}

// writeChart answers with the values of the chart that ?chart= names.
func writeChart(w http.ResponseWriter, r *http.Request, charts []web.Chart) error {
	name := r.URL.Query().Get("chart")
	i := slices.IndexFunc(charts, func(c web.Chart) bool { return c.ID == name })
	if i < 0 {
		return web.Errorf(http.StatusNotFound, "this page has no values of a chart %q", name)
	}
	data, err := json.Marshal(charts[i].Data()) // thousands of values, which a line each would make three times as long
	if err != nil {
		return fmt.Errorf("encode chart %s: %w", name, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	web.WriteData(w, http.StatusOK, web.MediaJSON, data)
	return nil
}

// newStepsTable returns the table, for programs, of what regions observed in hours and days.
func newStepsTable() table {
	return table{name: "latency", columns: append([]string{"region", "at", "by"}, digestColumns...)}
}

func (t *table) addSteps(report latency.Report, by latency.Step) {
	for _, row := range report.Rows {
		for _, p := range row.Points {
			t.rows = append(t.rows, append([]any{row.Region, p.At, string(by)}, digestCells(p.Digest)...))
		}
	}
}
