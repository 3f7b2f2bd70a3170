package console

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// yearView is a year of a check by hour.
type yearView struct {
	Host, Check string
	Chart       chartView
}

// yearPage has the median round-trip time of every hour of a year, by region. Its chart reads these thousands of values
// from an address of their own, and the tables for programs have the other quantiles and the losses.
func yearPage(s *console, r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	const title = "Round-trip time, a year by hour and region: median"
	report, err := s.config.Source.Latency(r.Context(), r.catalog, latency.Request{
		Include: func(key string) bool { return key == mesh.Key(h.Name) }, Check: c.Name, By: latency.Hour,
		From: r.snapshot.At.Add(-365 * 24 * time.Hour).Truncate(time.Hour), To: r.snapshot.At,
	})
	if err != nil {
		return view{}, err
	}
	hours := table{name: "latency", columns: append([]string{"region", "at", "by"}, digestColumns...)}
	for _, row := range report.Rows {
		for _, p := range row.Points {
			hours.rows = append(hours.rows, append([]any{row.Region, p.At, string(latency.Hour)}, digestCells(p.Digest)...))
		}
	}
	chart := hourlyChart(r, report)
	chart.Label, chart.Source = title, checkPath(h.Name, c.Name)+"/year?format="+formatChart
	v := yearView{h.Name, c.Name, chartView{title, tooLittle}}
	if slices.ContainsFunc(chart.Series, func(s web.ChartSeries) bool { return points(s) > 1 }) {
		if v.Chart.HTML, err = chart.HTML(); err != nil {
			return view{}, err
		}
	}
	return view{
		title: h.Name + " " + c.Name + ", a year by hour", template: "year", section: "/matrix", data: v, still: true,
		tables: []table{hours}, chart: &chart,
	}, nil
}

// hourlyChart has a line of medians for each region of a report by hour, from the first hour that has one.
func hourlyChart(r request, report latency.Report) web.Chart {
	c := web.Chart{ID: "rtt-hours", Unit: "ms", Step: time.Hour, From: r.snapshot.At.Truncate(time.Hour)}
	for _, row := range report.Rows {
		for _, p := range row.Points {
			if p.Answered() && p.At.Before(c.From) {
				c.From = p.At
			}
		}
	}
	for _, row := range report.Rows {
		length := int(r.snapshot.At.Sub(c.From)/time.Hour) + 1
		values, lost := gaps(length), gaps(length)
		for _, p := range row.Points {
			n := int(p.At.Sub(c.From) / time.Hour)
			if n < 0 || n >= length {
				continue
			}
			if p.Answered() {
				values[n] = milliseconds(p.P50)
			}
			if p.Sent > 0 {
				lost[n] = 100 * p.Loss()
			}
		}
		c.Series = append(c.Series, web.ChartSeries{Name: cityOf(r.catalog, row.Region), Values: values, Lost: lost})
	}
	return c
}
