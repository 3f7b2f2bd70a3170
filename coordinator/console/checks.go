package console

import (
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// checkPageView is one check: its votes now, a year by region, and what changed.
type checkPageView struct {
	Host    string
	Check   checkView
	Charts  []chartView
	Changes []changeRow
	Events  []event
	marks   []web.ChartMark
}

// The periods of the charts by region.
var regionPeriods = []struct {
	id, name string
	span     time.Duration
	by       latency.Step
}{
	{"days", "48 hours by region", 48 * time.Hour, latency.Hour},
	{"year", "a year by region", 365 * 24 * time.Hour, latency.Day},
}

// checkPage is the page of a check, now or at a moment.
func (s *console) checkPage(r request) (view, error) {
	h, c, err := r.hostAndCheck()
	if err != nil {
		return view{}, err
	}
	v := checkPageView{Host: h.Name, Check: r.newCheckView(h, c)}
	if v.Events, err = s.eventsOf(r, h.Name, c.Name); err != nil {
		return view{}, err
	}
	if v.marks, err = s.chartMarks(r, h.Name, c.Name, v.Events); err != nil {
		return view{}, err
	}
	hours := table{name: "latency", columns: append([]string{"region", "at", "by"}, digestColumns...)}
	for _, p := range regionPeriods {
		if err := s.regionCharts(r, &v, &hours, p.id, p.name, p.span, p.by); err != nil {
			return view{}, err
		}
	}
	if v.Changes, err = s.changes(r, mesh.Key(h.Name), c.Name); err != nil {
		return view{}, err
	}
	moment, err := s.newMomentView(r, mesh.Key(h.Name), c.Name)
	return view{
		title: h.Name + " " + c.Name, template: "check", section: "/matrix", data: v, moment: moment, still: true,
		tables: []table{{"votes", voteColumns, v.Check.rows()}, hours, changeTable(v.Changes), eventTable(v.Events)},
	}, err
}

// regionCharts adds a chart of round-trip times and one of loss, with a line for each region.
func (s *console) regionCharts(
	r request, v *checkPageView, out *table, id, name string, span time.Duration, by latency.Step,
) error {
	now := r.snapshot.At
	step := by.Duration()
	begin := now.Add(-span).Truncate(step).Add(step)
	report, err := s.config.Source.Latency(r.Context(), r.catalog, latency.Request{
		Include: func(key string) bool { return key == mesh.Key(v.Host) }, Check: v.Check.Name, By: by, From: begin, To: now,
	})
	if err != nil {
		return err
	}
	rtt := web.Chart{
		ID: "rtt-" + id, Label: "Round-trip time, " + name + ": median, p90 and p99", Unit: "ms", From: begin,
		Step: step, Marks: web.MarksSince(v.marks, begin),
	}
	loss := web.Chart{ID: "loss-" + id, Label: "Lost probes, " + name, Unit: "%", From: begin, Step: step}
	for _, row := range report.Rows {
		digests := map[int]rollup.Digest{}
		for _, p := range row.Points {
			digests[int(p.At.Sub(begin)/step)] = p.Digest
			out.rows = append(out.rows, append([]any{row.Region, p.At, string(by)}, digestCells(p.Digest)...))
		}
		addDigests(&rtt, &loss, row.Region, digests, int(span/step))
	}
	return drawn(&v.Charts, rtt, loss)
}
