package engine

import (
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// historyStream is the stream that stores transitions.
const historyStream = "LEDGER"

// Uptime reports how long the hosts of the query and their checks were up. Those of the catalog come first, in its
// order, those that were watched earlier in the period after them. A period that has not ended ends now.
func (h *History) Uptime(ctx context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error) {
	now, offset := h.now()
	wall := now.Add(-offset).Truncate(time.Second)
	if q.Days > 0 {
		q.From, q.To = wall.AddDate(0, 0, -q.Days), wall
	}
	if q.To.After(wall) {
		q.To = wall
	}
	report := sla.Report{From: q.From.UTC(), To: q.To.UTC(), Method: c.SLA.Or(), Rows: []sla.Row{}}
	from, err := h.pastMeshTime(ctx, q.From)
	if err != nil {
		return report, err
	}
	to, err := h.pastMeshTime(ctx, q.To)
	if err != nil {
		return report, err
	}
	histories, err := h.histories(ctx, c, q, from, to)
	if err != nil {
		return report, err
	}
	lost, err := h.lostTime(ctx)
	if err != nil {
		return report, err
	}
	pauses, err := h.view.Periods().Pauses(ctx, from, to)
	if err != nil {
		return report, err
	}
	lost = append(lost, pauses...)
	for _, one := range histories {
		report.Rows = append(report.Rows, sla.NewRow(one, lost, report.Method, from, to, q.Daily))
	}
	var order []string
	for i := range c.Hosts {
		order = append(order, c.Hosts[i].Name)
	}
	sla.SortRows(report.Rows, order)
	return report, nil
}

// lostTime returns when transitions may be missing from the ledger, because its files were damaged: nobody knows what
// was so then.
func (h *History) lostTime(ctx context.Context) (out []sla.Window, err error) {
	gaps, err := h.Gaps(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range gaps {
		if g.Stream != historyStream {
			continue
		}
		var w sla.Window
		if w.From, err = h.pastMeshTime(ctx, g.After); err != nil {
			return nil, err
		}
		if w.To, err = h.pastMeshTime(ctx, g.Before); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// histories returns what was published of the query's hosts, and an empty history for those of which nothing was: the
// reader sees that they have no data. Times are mesh time.
func (h *History) histories(
	ctx context.Context, c *catalog.Catalog, q sla.Query, from, to time.Time,
) ([]sla.History, error) {
	published, err := h.view.Periods().Published(ctx, q.Host, from, to)
	if err != nil {
		return nil, err
	}
	hidden, err := h.hidden(ctx, q, from, to)
	if err != nil {
		return nil, err
	}
	covered, err := h.maintained(ctx, c, from, to)
	if err != nil {
		return nil, err
	}
	found := bySubject(published)
	var out []sla.History
	add := func(key, name, check string) {
		of := found[subject{key, check}]
		delete(found, subject{key, check})
		of.Host, of.Check, of.Hidden = name, check, hidden.Of(key, check)
		of.Maintenance = covered(key, check)
		out = append(out, of)
	}
	for i := range c.Hosts {
		host := &c.Hosts[i]
		if !q.Include(host.Key()) || len(host.Checks) == 0 {
			continue
		}
		add(host.Key(), host.Name, "")
		for _, check := range host.Checks {
			if q.Public && !host.Shows(&check) {
				delete(found, subject{host.Key(), check.Name})
				continue
			}
			add(host.Key(), host.Name, check.Name)
		}
	}
	for _, p := range published {
		// What left the catalog while it was internal stays hidden.
		_, former := found[subject{p.Host, p.Check}]
		if !former || !q.Include(p.Host) || q.Public && hiddenUntil(hidden.Of(p.Host, p.Check), to) {
			continue
		}
		add(p.Host, presentName(c, p.Host), p.Check)
	}
	return out, nil
}

// hidden returns when hosts and checks were internal, for queries of the public.
func (h *History) hidden(ctx context.Context, q sla.Query, from, to time.Time) (view.Hidden, error) {
	if !q.Public {
		return nil, nil
	}
	return h.view.Periods().Internal(ctx, from, to)
}

// presentName returns how the catalog spells the host with a key; the key if it has none.
func presentName(c *catalog.Catalog, key string) string {
	if host := c.Host(mesh.Key(key)); host != nil {
		return host.Name
	}
	return key
}

func bySubject(all []sla.History) map[subject]sla.History {
	out := map[subject]sla.History{}
	for _, h := range all {
		out[subject{h.Host, h.Check}] = h
	}
	return out
}

// subject is a host by its key, or one of its checks.
type subject struct{ host, check string }

// hiddenUntil reports whether one of the windows lasts until a time.
func hiddenUntil(windows []sla.Window, to time.Time) bool {
	return slices.ContainsFunc(windows, func(w sla.Window) bool { return !w.To.Before(to) })
}

// maintained returns what says when a maintenance covered a host, by its key, or one of its checks, during a period of
// mesh time. A host of which only checks were covered has that in its statuses.
func (h *History) maintained(
	ctx context.Context, c *catalog.Catalog, from, to time.Time,
) (func(host, check string) []sla.Window, error) {
	_, offset := h.now()
	wallFrom, wallTo := from.Add(-offset-offsetChangeMax), to.Add(-offset+offsetChangeMax)
	all, err := h.view.Maintenances().List(ctx, wallFrom, wallTo, view.MaintenancesMax)
	if err != nil {
		return nil, err
	}
	meshTime := func(wall time.Time) (time.Time, error) { return h.pastMeshTime(ctx, wall) }
	// Where the wall clock was not stepped meanwhile, which is nearly always, no time has to be looked up.
	if at, err := meshTime(from.Add(-offset)); err != nil {
		return nil, err
	} else if at.Equal(from) {
		meshTime = func(wall time.Time) (time.Time, error) { return wall.Add(offset), nil }
	}
	var covered []during
	for _, m := range all {
		one := during{of: m}
		for _, w := range m.Windows(wallFrom, wallTo) {
			begins, err := meshTime(w.Start)
			if err != nil {
				return nil, err
			}
			ends, err := meshTime(w.End)
			if err != nil {
				return nil, err
			}
			one.windows = append(one.windows, sla.Window{From: begins, To: ends})
		}
		covered = append(covered, one)
	}
	return func(key, check string) []sla.Window { return coveredWindows(c, covered, key, check) }, nil
}

// during is a maintenance with the times at which it covered its targets, in mesh time.
type during struct {
	of      *maintenance.Maintenance
	windows []sla.Window
}

// coveredWindows returns when a host, by its key, or one of its checks was covered.
func coveredWindows(c *catalog.Catalog, covered []during, key, check string) (out []sla.Window) {
	host := c.Host(key)
	if host == nil {
		return nil
	}
	id := ""
	if i := slices.IndexFunc(host.Checks, func(one catalog.Check) bool { return one.Name == check }); i >= 0 {
		id = host.IdentityOf(&host.Checks[i])
	}
	for _, d := range covered {
		if d.of.Covers(host.Identity(), id) {
			out = append(out, d.windows...)
		}
	}
	return out
}

// offsetChangeMax is how much the offset of mesh time may have been otherwise in a period than it is now: windows that
// far outside the period are read too.
const offsetChangeMax = 24 * time.Hour

// pastMeshTime converts a time of the wall clock by the offset of that time: that of the newest transition before it,
// or the present one if there is none. A step of the clock since then does not move the bounds of a past month.
func (h *History) pastMeshTime(ctx context.Context, wall time.Time) (time.Time, error) {
	offset, found, err := h.view.Periods().OffsetAt(ctx, wall)
	if err != nil {
		return wall, err
	}
	if now, present := h.now(); !found || !wall.Before(now.Add(-present).Truncate(time.Second)) {
		offset = present
	}
	return wall.Add(offset), nil
}
