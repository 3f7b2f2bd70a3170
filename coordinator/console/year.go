package console

import (
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
)

// yearID and yearName are those of the charts of a year by hour.
const yearID, yearName = "hours", "a year by hour and region"

// yearPage has the median round-trip time and the losses of every hour of a year, by region. Its charts read these
// thousands of values by themselves; its tables have the days, and that for programs the hours with p90 and p99 too.
func yearPage(s *console, r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	hours := newStepsTable()
	out := view{
		title: h.Name + " " + c.Name + ", a year by hour", template: "series", section: "/matrix", still: true,
	}
	if r.forPrograms() {
		from := r.snapshot.At.Add(-regionYear.span).Truncate(time.Hour)
		report, err := latencyByRegion(s, r, h.Name, c.Name, from, latency.Hour)
		if err != nil {
			return view{}, err
		}
		marks, err := marksOf(s, r, h.Name, c.Name)
		hours.addSteps(report, latency.Hour)
		out.tables, out.charts = []table{hours}, hourlyCharts(r, report, marks).both()
		return out, err
	}
	days, err := regionCharts(s, r, h.Name, c.Name, regionYear, nil, &table{})
	if err != nil {
		return view{}, err
	}
	year := newLatencyCharts(yearID, yearName, days.rtt.From, regionYear.span, time.Hour, nil).medians()
	year.readFrom(r, checkPath(h.Name, c.Name)+"/year", days.medians())
	v := seriesView{Host: h.Name, Check: c.Name, Step: "hour"}
	err = appendCharts(&v.Charts, year.both()...)
	out.data, out.tables = v, []table{hours}
	return out, err
}

// hourlyCharts have the medians and losses of each region of a report by hour, from the first hour that has an answer.
func hourlyCharts(r request, report latency.Report, marks []web.ChartMark) latencyCharts {
	from := r.snapshot.At.Truncate(time.Hour)
	for _, row := range report.Rows {
		for _, p := range row.Points {
			if p.Answered() && p.At.Before(from) {
				from = p.At
			}
		}
	}
	span := r.snapshot.At.Truncate(time.Hour).Sub(from) + time.Hour
	out := newLatencyCharts(yearID, yearName, from, span, time.Hour, marks)
	out.addRegions(r.catalog, report)
	return out.medians()
}
