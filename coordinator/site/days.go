package site

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// barsShown is how many days the row of a host shows, today included.
const barsShown = 90

// daysView is how long a host was up on each of the last days.
type daysView struct {
	Uptime string    // "99.996 %", since the first data
	From   string    // the first day, "2006-01-02"
	First  int       // the index of the first day with data
	Runs   []runView // one for each look
	Notes  string    // "12:5 min down;40:...": what the days that were not up throughout were like, by index
	Bad    []badDay
}

// runView are the days that look the same, as one path: a page carries a row for each host.
type runView struct {
	web.Look
	Path string // "M0 .5h80m1 0h9"
}

// badDay is a day with downtime, newest first.
type badDay struct{ Day, Note string }

// badDaysShown is how many days with downtime the row of a host lists.
const badDaysShown = 5

// measurer reads what was measured of all hosts once a minute, and again when something changed: that takes months of
// history. It is safe for concurrent use; the zero value is ready.
type measurer struct {
	mu      sync.Mutex
	catalog *catalog.Catalog
	minute  time.Time
	changed time.Time // when a host or check changed last
	latest  *measured
}

// measured is what was measured of the hosts that the audience may see.
type measured struct {
	from    time.Time          // the first of the days
	days    map[string]sla.Row // by the host's key
	latency latency.Overview
	at      time.Time

	// What only the pages of a host and its checks show, filled when they are read.
	pastMu  sync.Mutex
	uptimes map[string]uptimesOf // by the host's key
	dailies map[string][]latency.Row
}

// of returns what was measured up to the state.
func (d *measurer) of(ctx context.Context, view *web.View, s web.State) (*measured, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	minute, changed := s.Snapshot.At.Truncate(time.Minute), lastChange(s)
	if d.latest != nil && d.catalog == s.Catalog && d.minute.Equal(minute) && d.changed.Equal(changed) {
		return d.latest, nil
	}
	m := &measured{
		from: s.Snapshot.At.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-barsShown), at: s.Snapshot.At,
		days: map[string]sla.Row{}, uptimes: map[string]uptimesOf{}, dailies: map[string][]latency.Row{},
	}
	report, err := view.DailyUptime(ctx, m.from, s.Snapshot.At)
	if err != nil {
		return nil, err
	}
	for _, r := range report.Rows {
		if r.Check == "" {
			m.days[mesh.Key(r.Host)] = r
		}
	}
	if m.latency, err = view.Overview(ctx); err != nil || m.latency == nil {
		return m, err // without latencies, which are known soon
	}
	d.catalog, d.minute, d.changed, d.latest = s.Catalog, minute, changed, m
	return m, nil
}

// began returns the first day with data of any host, and the zero time if there is none.
func (m *measured) began() time.Time {
	first := -1
	for _, row := range m.days {
		n := slices.IndexFunc(row.Days, func(t sla.Times) bool { return t.NoData < t.Total() })
		if n >= 0 && (first < 0 || n < first) {
			first = n
		}
	}
	if first < 0 {
		return time.Time{}
	}
	return m.from.AddDate(0, 0, first)
}

// uptimeView is the uptime of a host in a period until now.
type uptimeView struct{ Period, Uptime string }

// uptimePeriods are the periods that the page of a host shows.
var uptimePeriods = []struct {
	name string
	days int
}{{"24 hours", 1}, {"7 days", 7}, {"30 days", 30}, {"90 days", 90}, {"365 days", 365}}

// uptimesOf are the uptimes of a host by its checks, and under "" its own.
type uptimesOf map[string][]uptimeView

// uptimesOf returns the uptimes of a host.
func (m *measured) uptimesOf(ctx context.Context, view *web.View, key string) (uptimesOf, error) {
	m.pastMu.Lock()
	defer m.pastMu.Unlock()
	if known, ok := m.uptimes[key]; ok {
		return known, nil
	}
	out := uptimesOf{}
	for _, p := range uptimePeriods {
		report, err := view.Uptime(ctx, key, m.at.AddDate(0, 0, -p.days), m.at)
		if err != nil {
			return nil, err
		}
		for _, r := range report.Rows {
			if mesh.Key(r.Host) == key {
				out[r.Check] = append(out[r.Check], uptimeView{p.name, uptimeText(r.Uptime)})
			}
		}
	}
	m.uptimes[key] = out
	return out, nil
}

// lastChange returns when a host's status changed last.
func lastChange(s web.State) (last time.Time) {
	for _, h := range s.Snapshot.Hosts {
		if h.Since.After(last) {
			last = h.Since
		}
	}
	return last
}

func newDaysView(row sla.Row, from time.Time) daysView {
	v := daysView{Uptime: uptimeText(row.Uptime), From: from.Format(time.DateOnly), First: barsShown}
	var notes []string
	for n, t := range row.Days {
		if v.First == barsShown && t.NoData < t.Total() {
			v.First = n
		}
		note := dayNote(t, n > v.First)
		if n < v.First || note == "" {
			continue
		}
		notes = append(notes, fmt.Sprintf("%d:%s", n, note))
		if t.Down+t.Partial > 0 {
			v.Bad = append([]badDay{{from.AddDate(0, 0, n).Format("2 January"), note}}, v.Bad...)
		}
	}
	v.Bad = v.Bad[:min(len(v.Bad), badDaysShown)]
	v.Runs, v.Notes = runs(row.Days), strings.Join(notes, ";")
	return v
}

// runs returns a path for each look that days have, in the order in which they first have it.
func runs(days []sla.Times) (out []runView) {
	var ends []int // where each path ends
	for n := 0; n < len(days); {
		look, length := dayLook(days[n]), 1
		for n+length < len(days) && dayLook(days[n+length]).Class == look.Class {
			length++
		}
		i := slices.IndexFunc(out, func(r runView) bool { return r.Class == look.Class })
		if i < 0 {
			out, ends, i = append(out, runView{Look: look}), append(ends, 0), len(out)
		}
		if out[i].Path == "" {
			out[i].Path = fmt.Sprintf("M%d .5h%d", n, length)
		} else { // shorter than from the edge
			out[i].Path += fmt.Sprintf("m%d 0h%d", n-ends[i], length)
		}
		ends[i] = n + length
		n += length
	}
	return out
}

// uptimeText is an uptime for people. Of what is watched since less than an hour it would say nothing.
func uptimeText(r sla.Ratio) string {
	if r.Known() && r.Counted < int64(time.Hour/time.Second) {
		return "new"
	}
	return r.String()
}

// dayLook returns how a day appears: as the worst of its seconds.
func dayLook(t sla.Times) web.Look {
	switch {
	case t.Down > 0:
		return web.StatusLook(mesh.MajorOutage)
	case t.Partial > 0:
		return web.StatusLook(mesh.PartialOutage)
	case t.Maintenance > 0:
		return web.StatusLook(mesh.UnderMaintenance)
	case t.Up > 0:
		return web.StatusLook(mesh.Operational)
	}
	return web.StatusLook(mesh.StatusUnknown)
}

// dayNote says what a day was like that was not up throughout; "" for one that was. On the first day it is no news that
// there is no data for its beginning.
func dayNote(t sla.Times, missed bool) string {
	var parts []string
	add := func(seconds int64, format string) {
		if seconds > 0 {
			parts = append(parts, fmt.Sprintf(format, incident.FormatDuration(time.Duration(seconds)*time.Second)))
		}
	}
	add(t.Down, "%s down")
	add(t.Partial, "%s partly down")
	add(t.Maintenance, "%s of maintenance")
	if missed {
		add(t.NoData, "no data for %s")
	}
	return strings.Join(parts, ", ")
}
