package site

import (
	"context"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// chartOf is the check whose round-trip times a chart shows, with its outages.
type chartOf struct {
	host, check string // key and name
	marks       []web.ChartMark
	tableAt     string // the page with the tables; "": the one with the charts
}

// charts returns the charts of a check's round-trip times by region: of two days, and of the last months once there are
// more days than two.
func (s *Site) charts(
	ctx context.Context,
	state web.State,
	past *measured,
	of chartOf,
) (out []template.HTML, err error) {
	hours := hourlyChart(state, past, of)
	days, err := s.dailyChart(ctx, state, past, of)
	if err != nil {
		return nil, err
	}
	for _, c := range []web.Chart{hours, days} {
		if len(c.Series) == 0 {
			continue
		}
		if of.tableAt != "" {
			c.TableAt = of.tableAt + "#" + c.ID
		}
		html, err := c.HTML()
		if err != nil {
			return nil, err
		}
		out = append(out, html)
	}
	return out, nil
}

// hourlyChart has the median of each hour.
func hourlyChart(state web.State, past *measured, of chartOf) web.Chart {
	c := web.Chart{
		ID: "rtt", Label: of.check + ": median round-trip time by region, 48 hours", Unit: "ms", Step: time.Hour,
		From: past.at.UTC().Truncate(time.Hour).Add(-time.Duration(latency.RecentHours-1) * time.Hour),
	}
	for _, r := range past.latency.Of(of.host, of.check) {
		values := make([]float64, latency.RecentHours)
		for i, h := range r.Hours.All() {
			values[i] = value(h)
		}
		c.Series = addSeries(c.Series, state.City(r.Region), values)
	}
	c.Marks = web.MarksSince(of.marks, c.From)
	return c
}

// dailyChart has the median of each day, from the first that has one. It is empty where the chart of hours shows as
// much.
func (s *Site) dailyChart(ctx context.Context, state web.State, past *measured, of chartOf) (web.Chart, error) {
	const day = 24 * time.Hour
	rows, err := past.daily(ctx, s.view, of.host, of.check)
	if err != nil {
		return web.Chart{}, err
	}
	first := daysOfLatency
	for _, r := range rows {
		for _, p := range r.Points {
			if n := int(p.At.Sub(past.from) / day); n >= 0 && p.P50 > 0 {
				first = min(first, n)
			}
		}
	}
	if first > daysOfLatency-3 {
		return web.Chart{}, nil
	}
	c := web.Chart{
		ID: "rtt-days", Label: of.check + ": median round-trip time by region and day", Unit: "ms", Step: day,
		From: past.from.AddDate(0, 0, first),
	}
	for _, r := range rows {
		values := slices.Repeat([]float64{math.NaN()}, daysOfLatency-first)
		for _, p := range r.Points {
			if n := int(p.At.Sub(c.From) / day); n >= 0 && n < len(values) {
				values[n] = value(p.Digest)
			}
		}
		c.Series = addSeries(c.Series, state.City(r.Region), values)
	}
	c.Marks = web.MarksSince(of.marks, c.From)
	return c, nil
}

// value is the median in milliseconds, or NaN where nothing answered.
func value(d rollup.Digest) float64 {
	if d.P50 <= 0 {
		return math.NaN()
	}
	return float64(d.P50) / float64(time.Millisecond)
}

// addSeries adds a line that has a value at all.
func addSeries(all []web.ChartSeries, name string, values []float64) []web.ChartSeries {
	if !slices.ContainsFunc(values, func(v float64) bool { return !math.IsNaN(v) }) {
		return all
	}
	return append(all, web.ChartSeries{Name: name, Values: values})
}
