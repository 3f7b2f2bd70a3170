package console

import (
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// recentPeriod is a period up to the moment that is shown, which is drawn by minute.
type recentPeriod struct {
	id, name string
	span     time.Duration
}

var (
	lastHour = recentPeriod{"hour", "the last hour", time.Hour}
	twoDays  = recentPeriod{"days", "48 hours", 48 * time.Hour}
)

// in returns the period in whole steps, the last of which goes on.
func (p recentPeriod) in(end time.Time, step time.Duration) latency.Period {
	return latency.Period{From: end.Add(-p.span).Truncate(step).Add(step), To: end, Step: step}
}

// vantageGroup are vantages whose observations charts draw as one line.
type vantageGroup struct {
	name     string
	vantages []string
}

// observed is what groups of vantages observed of a check.
type observed struct {
	host, check string
	groups      []vantageGroup
	marks       []web.ChartMark
}

// points returns the points of a group.
func (o observed) points(s *console, r request, g vantageGroup, p latency.Period) ([]latency.Point, error) {
	return s.config.Source.Minutes(r.Context(), r.catalog, latency.MinutesRequest{
		Host: o.host, Check: o.check, Vantages: g.vantages, Period: p,
	})
}

// charts returns the charts of a period in steps of minutes, and adds their points to a table unless that is nil.
func (o observed) charts(
	s *console, r request, p recentPeriod, name string, step time.Duration, t *table,
) (latencyCharts, error) {
	period := p.in(r.snapshot.At, step)
	out := newLatencyCharts(p.id, name, period.From, p.span, step, o.marks)
	for _, g := range o.groups {
		points, err := o.points(s, r, g, period)
		if err != nil {
			return out, err
		}
		out.add(g.name, points)
		for _, point := range points {
			if t != nil {
				t.rows = append(t.rows, append([]any{g.name, point.At}, digestCells(point.Digest)...))
			}
		}
	}
	return out, nil
}

// byRegion returns the vantages of each region that may observe a host.
func (r request) byRegion(host string) (out []vantageGroup) {
	for _, region := range r.catalog.Regions {
		out = append(out, vantageGroup{sentence.City(r.catalog, region.Name), r.observersIn(region.Name, host)})
	}
	return out
}

// observersIn returns the names of a region's vantages that may observe a host: all but that on the host itself.
func (r request) observersIn(region, host string) (names []string) {
	for _, v := range r.snapshot.Vantages {
		if v.Region == region && mesh.Key(v.Name) != mesh.Key(host) {
			names = append(names, v.Name)
		}
	}
	return names
}

// seriesView is a check by region in steps so short that its page has longer ones in its tables.
type seriesView struct {
	Host, Check string
	Step        string
	Charts      []chartView
}

// daysName names the charts of 48 hours by minute.
const daysName = "48 hours by minute and region"

// daysByMinute returns the charts of 48 hours by minute and region, which read their thousands of values from a page of
// their own. The tables have the hours.
func (r request) daysByMinute(host, check string, hours latencyCharts) latencyCharts {
	out := newLatencyCharts(twoDays.id, daysName, hours.rtt.From, twoDays.span, time.Minute, nil)
	out.readFrom(r, checkPath(host, check)+"/minutes", hours.medians())
	return out
}

// minutesPage is a check's last 48 hours by minute and region.
func minutesPage(s *console, r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	minutes := table{name: "minutes", columns: append([]string{"region", "at"}, digestColumns...)}
	out := view{
		title: h.Name + " " + c.Name + ", 48 hours by minute", template: "series", section: "/matrix", still: true,
	}
	if r.forPrograms() {
		marks, err := marksOf(s, r, h.Name, c.Name)
		if err != nil {
			return view{}, err
		}
		o := observed{h.Name, c.Name, r.byRegion(h.Name), marks}
		days, err := o.charts(s, r, twoDays, daysName, time.Minute, &minutes)
		out.tables, out.charts = []table{minutes}, days.both()
		return out, err
	}
	hours, err := regionCharts(s, r, h.Name, c.Name, regionHours, nil, &table{})
	if err != nil {
		return view{}, err
	}
	v := seriesView{Host: h.Name, Check: c.Name, Step: "minute"}
	err = appendCharts(&v.Charts, r.daysByMinute(h.Name, c.Name, hours).both()...)
	out.data, out.tables = v, []table{minutes}
	return out, err
}
