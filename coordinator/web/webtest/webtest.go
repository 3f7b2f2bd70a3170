// Package webtest is a coordinator for tests of the HTTP surfaces: a source that shows what a test sets.
package webtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/deploy/examples"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Source is a web.Source of fields. While something reads it, change it with Show only.
type Source struct {
	Catalog      *catalog.Catalog
	Snapshot     *mesh.Snapshot
	IsReady      bool
	All          []*incident.Incident
	Lost         []ledger.Gap
	Library      *Library // nil: nothing was written
	Planned      []*maintenance.Maintenance
	Changes      []mesh.Transition           // what Transitions returns; nil: forty of them
	Lifelike     bool                        // history and latencies as a mesh has them, not the same everywhere
	DaysMeasured int                         // how many days before now have data; 10 if zero
	Added        map[string]ledger.Component // by the ids of hosts and checks
	Events       atomic.Uint64               // of the ledger: add one after a change of what it holds

	mu      sync.Mutex
	changed chan struct{}
}

// NewSource returns a source with the hosts of the example catalog, all with the same verdict and status.
func NewSource(t *testing.T, verdict mesh.Verdict, status mesh.Status) *Source {
	t.Helper()
	c, err := catalogfile.Parse("ninernet.yaml", examples.Ninernet, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	const sentence = "Unknown: too few results."
	s := &Source{
		Catalog: c, Snapshot: &mesh.Snapshot{At: time.Now(), Revision: c.Revision}, changed: make(chan struct{}),
	}
	for _, h := range c.Hosts {
		state := mesh.HostState{
			Name: h.Name, Region: h.Region, Public: h.Public, Status: status, Since: time.Now(), Sentence: sentence,
		}
		for _, check := range h.Checks {
			cs := mesh.CheckState{
				Name: check.Name, Kind: check.Kind, Critical: true, Verdict: verdict, Since: time.Now(),
				Sentence: sentence, Tally: mesh.Tally{Regions: 8, Voters: 7},
			}
			for _, r := range c.Regions {
				cs.Votes = append(cs.Votes, mesh.RegionVote{
					Region: r.Name, Own: r.Name == h.Region, Vote: mesh.Bad, Why: "refused",
					Edges: []mesh.EdgeState{{Vantage: "nc023"}},
				})
			}
			state.Checks = append(state.Checks, cs)
		}
		s.Snapshot.Hosts = append(s.Snapshot.Hosts, state)
	}
	return s
}

// Show changes the snapshot, as a running judge does.
func (s *Source) Show(snapshot *mesh.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Snapshot = snapshot
	close(s.changed)
	s.changed = make(chan struct{})
}

// HideHost makes a host internal, and shows the snapshot again.
func (s *Source) HideHost(name string) {
	s.mu.Lock()
	next, snapshot := *s.Catalog, *s.Snapshot
	next.Hosts = slices.Clone(next.Hosts)
	for i := range next.Hosts {
		next.Hosts[i].Public = next.Hosts[i].Public && next.Hosts[i].Name != name
	}
	s.Catalog = &next
	s.mu.Unlock()
	s.Show(&snapshot)
}

// Current returns the fields.
func (s *Source) Current() (*catalog.Catalog, *mesh.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Catalog, s.Snapshot
}

// Changed returns a channel that the next Show closes.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Written returns Events.
func (s *Source) Written() uint64 { return s.Events.Load() }

// Archive returns Library.
func (s *Source) Archive() web.Archive {
	if s.Library == nil {
		return empty{}
	}
	return s.Library
}

// Ready returns the field.
func (s *Source) Ready() bool { return s.IsReady }

// Transitions returns forty transitions of NC036 with a sentence that must be escaped, whatever is asked for.
func (s *Source) Transitions(context.Context, string, time.Time, int) ([]mesh.Transition, error) {
	if s.Changes != nil || s.Lifelike {
		return s.Changes, nil
	}
	at := time.Date(2026, 3, 1, 2, 31, 7, 0, time.UTC)
	var out []mesh.Transition
	for range 40 {
		out = append(out, mesh.Transition{
			Host: "NC036", Public: true, Check: "Sending mail", Was: mesh.Up, Verdict: mesh.Down,
			From: mesh.Operational, To: mesh.PartialOutage, Began: at, Published: at.Add(2 * time.Second),
			Sentence: `Down: 7 of 7 regions got "<refused>", first from Toronto at 02:31:07.`,
		})
	}
	return out, nil
}

// TransitionsIn returns Transitions.
func (s *Source) TransitionsIn(
	ctx context.Context, host string, since, _ time.Time, limit int,
) ([]mesh.Transition, error) {
	return s.Transitions(ctx, host, since, limit)
}

// PublicTransitions returns Transitions.
func (s *Source) PublicTransitions(
	ctx context.Context,
	_ []string,
	since time.Time,
	n int,
) ([]mesh.Transition, error) {
	return s.Transitions(ctx, "", since, n)
}

// TransitionsOf returns those of Changes with the ids of the parts.
func (s *Source) TransitionsOf(_ context.Context, parts []incident.Update) (out []mesh.Transition, err error) {
	for _, t := range s.Changes {
		if slices.ContainsFunc(parts, func(p incident.Update) bool { return p.ID == t.ID }) {
			out = append(out, t)
		}
	}
	return out, nil
}

// Incidents lists those of All that the query selects.
func (s *Source) Incidents(_ context.Context, q incident.Query) (out []*incident.Incident, err error) {
	for _, i := range s.All {
		within := !i.Opened.Before(q.From) && (q.Until.IsZero() || i.Opened.Before(q.Until))
		if i.Merged != "" || !within || !i.Open() && !i.Resolved.After(q.Since) {
			continue
		}
		if q.Public {
			if i = i.Only(q.Hosts); i == nil || !i.Shown(time.Now()) {
				continue
			}
		}
		out = append(out, i)
	}
	out = out[min(len(out), q.Offset):]
	return out[:min(len(out), q.Limit)], nil
}

// Components returns Added.
func (s *Source) Components(context.Context) (map[string]ledger.Component, error) {
	return s.Added, nil
}

// Maintenances lists Planned.
func (s *Source) Maintenances(context.Context, time.Time, time.Time) ([]*maintenance.Maintenance, error) {
	return s.Planned, nil
}

// Maintenance returns the one of Planned with the id.
func (s *Source) Maintenance(_ context.Context, id string) (*maintenance.Maintenance, error) {
	for _, m := range s.Planned {
		if m.ID == id {
			return m, nil
		}
	}
	return nil, ledger.ErrNoMaintenance
}

// Gaps returns Lost.
func (s *Source) Gaps(context.Context) ([]ledger.Gap, error) { return s.Lost, nil }

// Incident returns the one of All with the id.
func (s *Source) Incident(_ context.Context, id string) (*incident.Incident, error) {
	for _, i := range s.All {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, nil
}

// Uptime returns a row for each host and check that the query includes: an hour up, of which NC036 was down a minute.
// The days of a host are without data but for the last s.DaysMeasured; yesterday, NC036 was down a minute.
func (s *Source) Uptime(_ context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error) {
	r := sla.Report{From: q.From, To: q.To, Method: c.SLA.Or(), Rows: []sla.Row{}}
	for _, h := range c.Hosts {
		times := sla.Times{Up: 3600}
		if h.Name == "NC036" && !s.Lifelike {
			times = sla.Times{Up: 3540, Down: 60}
		}
		if !q.Include(h.Key()) {
			continue
		}
		if s.Lifelike {
			times = sla.Times{}
			for _, day := range lifelikeDays(q, h.Name) {
				times = sla.Times{Up: times.Up + day.Up, Down: times.Down + day.Down, Partial: times.Partial + day.Partial,
					Maintenance: times.Maintenance + day.Maintenance, NoData: times.NoData + day.NoData}
			}
		}
		row := sla.Row{Host: h.Name, Seconds: times}
		if q.Daily {
			row.Days = days(q, h.Name, s.DaysMeasured)
			if s.Lifelike {
				row.Days = lifelikeDays(q, h.Name)
			}
		}
		r.Rows = append(r.Rows, r.Method.Rate(row))
		for _, check := range h.Checks {
			r.Rows = append(r.Rows, r.Method.Rate(sla.Row{Host: h.Name, Check: check.Name, Seconds: times}))
		}
	}
	return r, nil
}

func days(q sla.Query, host string, measured int) (out []sla.Times) {
	const day = 24 * time.Hour
	if measured == 0 {
		measured = 10
	}
	for at := q.From; at.Before(q.To); at = at.Add(day) {
		times := sla.Times{NoData: 86_400}
		switch left := q.To.Sub(at); {
		case left > day && left <= 2*day && host == "NC036":
			times = sla.Times{Up: 86_340, Down: 60}
		case left <= time.Duration(measured)*day:
			times = sla.Times{Up: 86_400}
		}
		out = append(out, times)
	}
	return out
}

// Latency returns a row for each host and check that the query includes, from each region: a point at the beginning of
// the period, with round-trip times of 10, 20, 30 and 40 ms and one observation in a hundred unreachable.
func (s *Source) Latency(_ context.Context, c *catalog.Catalog, q latency.Request) (latency.Report, error) {
	r := latency.Report{From: q.From, To: q.To, By: q.By, Rows: []latency.Row{}, Gaps: []latency.Gap{}}
	for _, h := range c.Hosts {
		for _, check := range h.Checks {
			for _, region := range c.Regions {
				if q.Include(h.Key()) && (q.Check == "" || q.Check == check.Name) && (q.Region == "" || q.Region == region.Name) {
					points := []latency.Point{{At: q.From.UTC().Truncate(q.By.Duration()), Digest: digest()}}
					if s.Lifelike {
						points = lifelikePoints(h, region.Name, q)
					}
					r.Rows = append(r.Rows, latency.Row{Host: h.Name, Check: check.Name, Region: region.Name, Points: points})
				}
			}
		}
	}
	return r, nil
}

// Overview returns the same for each check and region, in each of the last 48 hours. The median of each host is 10 ms.
func (s *Source) Overview(_ context.Context, c *catalog.Catalog, _ bool) (latency.Overview, error) {
	out := latency.Overview{}
	for _, h := range c.Hosts {
		host := latency.HostRecent{Median: 10 * time.Millisecond, Checks: map[string][]latency.Recent{}}
		for _, check := range h.Checks {
			for _, region := range c.Regions {
				recent := latency.Recent{
					Region: region.Name, Latest: latency.Latest{At: time.Now(), RTT: 10 * time.Millisecond}, Day: digest(),
				}
				recent.Hours = recent.Hours.Map(func(i int, _ rollup.Digest) rollup.Digest {
					if !s.Lifelike {
						return digest()
					}
					recent.Day = lifelike(h, region.Name, i)
					recent.Latest.RTT, host.Median = recent.Day.P50, recent.Day.P50
					return recent.Day
				})
				host.Checks[check.Name] = append(host.Checks[check.Name], recent)
			}
		}
		out[h.Key()] = host
	}
	return out, nil
}

func digest() rollup.Digest {
	return rollup.Digest{
		Outcomes: rollup.Outcomes{Reachable: 99, Unreachable: 1}, Sent: 100, Lost: 1, P50: 10 * time.Millisecond,
		P90: 20 * time.Millisecond, P95: 30 * time.Millisecond, P99: 40 * time.Millisecond, Worst: "nc023", Bad: 1,
	}
}

// Incidents are an open incident of NC041, "a2-1", and a resolved one of NC036, "a1-1". Both began 61 minutes ago.
func Incidents() []*incident.Incident {
	at := time.Now().UTC().Truncate(time.Second).Add(-61*time.Minute - 30*time.Second)
	window := incident.Window{
		Check: "Sending mail", Verdict: mesh.Down, From: at, To: at.Add(21*time.Minute + 3*time.Second),
	}
	resolved := incident.Incident{
		ID: "a1-1", State: incident.Resolved, Impact: incident.Major, Began: at, Opened: at, Updated: at,
		Resolved: window.To, Public: at,
		Hosts: []incident.Host{{
			Name: "NC036", Status: mesh.Operational, Worst: mesh.PartialOutage, Windows: []incident.Window{window},
		}},
		Updates: []incident.Update{{
			ID: "1", At: at, State: incident.Investigating, Host: "NC036", Check: "Sending mail", Was: mesh.Up,
			Verdict: mesh.Down, Body: "Down: 7 of 7 regions got '<refused>'.",
		}},
	}
	open := resolved
	open.ID, open.State, open.Resolved = "a2-1", incident.Investigating, time.Time{}
	open.Hosts = []incident.Host{{
		Name: "NC041", Status: mesh.MajorOutage, Worst: mesh.MajorOutage,
		Windows: []incident.Window{{Check: "ping", Verdict: mesh.Down, From: at}},
	}}
	return []*incident.Incident{&open, &resolved}
}

// Get asks a handler for a path.
func Get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}
