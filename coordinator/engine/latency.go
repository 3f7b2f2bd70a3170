package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Latencies answers how long checks take to answer, by the names of a catalog. It is safe for concurrent use.
type Latencies struct {
	store *latency.Store
	view  *view.View
	now   func() (at time.Time, offset time.Duration)

	recent *recent // nil without a store
}

// NewLatencies makes Latencies. Without a store nothing is known. now returns the present mesh time, and mesh time
// less the wall clock.
func NewLatencies(s *latency.Store, v *view.View, now func() (time.Time, time.Duration)) *Latencies {
	l := &Latencies{store: s, view: v, now: now}
	if s != nil {
		l.recent = newRecent(s.Recent)
	}
	return l
}

// Run reads what Overview returns before it is asked for, until ctx ends, and then returns nil: no page waits for the
// first reading, which takes seconds in a large mesh, or for a later one. Without Run, readers read it themselves.
func (l *Latencies) Run(ctx context.Context) error {
	if l.recent != nil {
		l.recent.run(ctx, l.wall)
	}
	return nil
}

// wall returns the present time of the wall clock that the coordinators share.
func (l *Latencies) wall() time.Time {
	at, offset := l.now()
	return at.Add(-offset)
}

// Latency reports how long the checks of the request took to answer.
func (l *Latencies) Latency(
	ctx context.Context, c *catalog.Catalog, q latency.Request,
) (report latency.Report, err error) {
	report = latency.Report{
		From: q.From.UTC(), To: q.To.UTC(), By: q.By, Rows: []latency.Row{}, Gaps: []latency.Gap{},
	}
	if l.store == nil {
		return report, nil
	}
	hidden, err := l.hidden(ctx, q.Public, q.From, q.To)
	if err != nil {
		return report, err
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if !q.Include(h.Key()) {
			continue
		}
		for k := range h.Checks {
			check := &h.Checks[k]
			if q.Check != "" && mesh.Key(q.Check) != mesh.Key(check.Name) || q.Public && !h.Shows(check) {
				continue
			}
			series, err := l.store.Series(ctx, latency.Query{
				Check: h.IdentityOf(check), Region: q.Region, By: q.By, From: q.From, To: q.To,
			})
			if err != nil {
				return report, err
			}
			for _, s := range series {
				points := l.visible(c, s.Points, q, hidden.Of(h.Key(), check.Name))
				row := latency.Row{Host: h.Name, Check: check.Name, Region: s.Region, Points: points}
				report.Rows = append(report.Rows, row)
			}
		}
	}
	report.Gaps, err = l.store.Gaps(ctx, q.From, q.To)
	return report, err
}

// hidden returns when hosts and checks were internal during a period of the wall clock, in mesh time.
func (l *Latencies) hidden(ctx context.Context, public bool, from, to time.Time) (view.Hidden, error) {
	if !public {
		return nil, nil
	}
	_, offset := l.now()
	return l.view.Periods().Internal(ctx, from.Add(offset), to.Add(offset))
}

// visible returns the points that the reader of a request may see, with the present names of vantages.
func (l *Latencies) visible(
	c *catalog.Catalog, points []latency.Point, q latency.Request, hidden []sla.Window,
) []latency.Point {
	for i := range points {
		points[i].Worst = vantageName(c, points[i].Worst)
	}
	if q.Public {
		return slices.DeleteFunc(points, func(p latency.Point) bool {
			return l.overlap(hidden, p.At, p.At.Add(q.By.Duration()))
		})
	}
	return points
}

// overlap reports whether a period of the wall clock overlaps one of the windows, which are mesh time.
func (l *Latencies) overlap(windows []sla.Window, from, to time.Time) bool {
	_, offset := l.now()
	return slices.ContainsFunc(windows, func(w sla.Window) bool {
		return w.From.Add(-offset).Before(to) && w.To.Add(-offset).After(from)
	})
}

// vantageName returns the name that the host with the id has; the id if it has left the catalog.
func vantageName(c *catalog.Catalog, id string) string {
	if h := c.HostByID(id); h != nil {
		return h.Name
	}
	return id
}

// Overview returns what pages show of every host, some seconds old; nil while it is read for the first time. With
// public, it leaves out when hosts were internal.
func (l *Latencies) Overview(ctx context.Context, c *catalog.Catalog, public bool) (latency.Overview, error) {
	if l.store == nil {
		return latency.Overview{}, nil
	}
	wall := l.wall()
	recent, err := l.recent.get(ctx, wall)
	if err != nil || recent == nil {
		return nil, err
	}
	hidden, err := l.hidden(ctx, public, wall.Add(-latency.Kept), wall)
	if err != nil {
		return nil, err
	}
	out := latency.Overview{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		one := latency.HostRecent{Checks: map[string][]latency.Recent{}}
		for k := range h.Checks {
			if public && !h.Shows(&h.Checks[k]) {
				continue
			}
			regions := recent[h.IdentityOf(&h.Checks[k])]
			if windows := hidden.Of(h.Key(), h.Checks[k].Name); len(windows) > 0 {
				regions = slices.Clone(regions)
				for n := range regions {
					l.hide(&regions[n], windows, wall)
				}
			}
			one.Checks[h.Checks[k].Name] = regions
		}
		one.Median = median(h, one.Checks)
		out[h.Key()] = one
	}
	return out, nil
}

// hide removes what was observed while the host was internal.
func (l *Latencies) hide(r *latency.Recent, windows []sla.Window, wall time.Time) {
	present := wall.Truncate(time.Hour)
	r.Hours = r.Hours.Map(func(i int, d rollup.Digest) rollup.Digest {
		from := present.Add(-time.Duration(latency.RecentHours-1-i) * time.Hour)
		if l.overlap(windows, from, from.Add(time.Hour)) {
			return rollup.Digest{}
		}
		return d
	})
	if l.overlap(windows, present.Add(-23*time.Hour), wall) {
		r.Day = rollup.Digest{}
	}
	if l.overlap(windows, present.Add(-time.Hour), wall) {
		r.Now = rollup.Summary{}
	}
	if l.overlap(windows, r.Latest.At, wall) {
		r.Latest = latency.Latest{}
	}
}

// median returns the median round-trip time of a host, see latency.HostRecent.
func median(h *catalog.Host, checks map[string][]latency.Recent) time.Duration {
	pings := slices.ContainsFunc(h.Checks, func(c catalog.Check) bool { return c.Kind == catalog.KindPing })
	var all rollup.Sketch
	for _, c := range h.Checks {
		if pings && c.Kind != catalog.KindPing {
			continue
		}
		for _, r := range checks[c.Name] {
			if r.Region != h.Region {
				all.Merge(r.Now.RTT)
			}
		}
	}
	out, _ := all.Quantile(0.5)
	return out
}

// Minutes returns what vantages observed of a check in the minutes of the last two days: for operators.
func (l *Latencies) Minutes(
	ctx context.Context, c *catalog.Catalog, q latency.MinutesRequest,
) ([]latency.Point, error) {
	h := c.HostOnceNamed(q.Host)
	if h == nil {
		return nil, nil
	}
	check := c.CheckOnceNamed(h, q.Check)
	if check == nil {
		return nil, nil
	}
	var vantages []string
	for _, name := range q.Vantages {
		if vantage := c.HostOnceNamed(name); vantage != nil {
			vantages = append(vantages, vantage.Identity())
		}
	}
	return l.store.Minutes(ctx, h.IdentityOf(check), vantages, q.Period)
}

// Losses returns the losses of each vantage on each check in a period of the last latency.LossesReach, in the catalog's
// order and, of one check, by the vantages' names: for operators.
func (l *Latencies) Losses(ctx context.Context, c *catalog.Catalog, from, to time.Time) ([]latency.VantageLoss, error) {
	pairs, err := l.store.Losses(ctx, from, to)
	if err != nil {
		return nil, err
	}
	byCheck := map[string][]latency.VantageLoss{}
	for _, p := range pairs {
		one := latency.VantageLoss{Vantage: vantageName(c, p.Vantage), Sent: p.Sent, Lost: p.Lost}
		byCheck[p.Check] = append(byCheck[p.Check], one)
	}
	var out []latency.VantageLoss
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			vantages := byCheck[h.IdentityOf(&h.Checks[k])]
			slices.SortFunc(vantages, func(a, b latency.VantageLoss) int {
				return cmp.Compare(a.Vantage, b.Vantage)
			})
			for _, p := range vantages {
				p.Host, p.Check = h.Name, h.Checks[k].Name
				out = append(out, p)
			}
		}
	}
	return out, nil
}
