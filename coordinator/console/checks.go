package console

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// checkPageView is one check: its votes now, up to a year by region, and what changed.
type checkPageView struct {
	Host    string
	Check   checkView
	Charts  []chartView
	Changes []changeRow
	Events  []event
}

// regionPeriod is a period up to the moment that is shown, whose steps are summed up by region.
type regionPeriod struct {
	id, name string
	span     time.Duration
	by       latency.Step
}

var (
	regionHours = regionPeriod{"days", "48 hours by hour and region", 48 * time.Hour, latency.Hour}
	regionYear  = regionPeriod{"year", "a year by day and region", 365 * 24 * time.Hour, latency.Day}
)

// checkPage is the page of a check, now or at a moment.
func checkPage(s *console, r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	v := checkPageView{Host: h.Name, Check: r.newCheckView(h, c)}
	if v.Events, err = s.eventsOf(r, h.Name, c.Name); err != nil {
		return view{}, err
	}
	marks, err := s.chartMarks(r, h.Name, c.Name, v.Events)
	if err != nil {
		return view{}, err
	}
	steps := newStepsTable()
	charts, err := v.addCharts(s, r, marks, &steps)
	if err != nil {
		return view{}, err
	}
	if v.Changes, err = changesOf(s, r, h.Name, c.Name); err != nil {
		return view{}, err
	}
	moment, err := s.newMomentView(r, h.Name, c.Name)
	return view{
		title: h.Name + " " + c.Name, template: "check", section: "/matrix", data: v, moment: moment, still: true,
		tables: []table{{"votes", voteColumns, v.Check.rows()}, steps, changeTable(v.Changes), eventTable(v.Events)},
		charts: charts,
	}, err
}

// addCharts adds the charts by region, of the last hour, of 48 hours and of a year, and their hours and days to a
// table. It returns the charts that read their values from this page.
func (v *checkPageView) addCharts(s *console, r request, marks []web.ChartMark, t *table) ([]web.Chart, error) {
	host, check := v.Host, v.Check.Name
	o := observed{host, check, r.byRegion(host), marks}
	hour, err := o.charts(s, r, lastHour, "the last hour by region", time.Minute, nil)
	if err != nil {
		return nil, err
	}
	hours, err := regionCharts(s, r, host, check, regionHours, marks, t)
	if err != nil {
		return nil, err
	}
	year, err := regionCharts(s, r, host, check, regionYear, marks, t)
	if err != nil {
		return nil, err
	}
	medians := hour.medians()
	hour.rtt.Table = &medians.rtt
	values := year.both()
	year.readFrom(r, checkPath(host, check), year)
	for _, c := range []*web.Chart{&year.rtt, &year.loss} {
		c.TableAt = checkPath(host, check) + "/year"
	}
	return values, appendCharts(&v.Charts, slices.Concat(
		hour.both(), r.daysByMinute(host, check, hours).both(), year.both(),
	)...)
}

// regionCharts returns the charts of a check with a line for each region, and adds what they show to a table.
func regionCharts(
	s *console, r request, host, check string, p regionPeriod, marks []web.ChartMark, t *table,
) (latencyCharts, error) {
	step := p.by.Duration()
	begin := r.snapshot.At.Add(-p.span).Truncate(step).Add(step)
	out := newLatencyCharts(p.id, p.name, begin, p.span, step, marks)
	report, err := latencyByRegion(s, r, host, check, begin, p.by)
	if err != nil {
		return out, err
	}
	out.addRegions(r.catalog, report)
	t.addSteps(report, p.by)
	return out, nil
}

// latencyByRegion returns what each region measured of a check from a time to the moment that is shown.
func latencyByRegion(
	s *console, r request, host, check string, from time.Time, by latency.Step,
) (latency.Report, error) {
	return s.config.Source.Latency(r.Context(), r.catalog, latency.Request{
		Include: func(key string) bool { return key == mesh.Key(host) }, Check: check, By: by, From: from,
		To: r.snapshot.At,
	})
}
