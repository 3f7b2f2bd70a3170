package web

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Source is the running coordinator, as the HTTP surfaces need it. The engine implements it.
type Source interface {
	// Current returns the catalog in force and the judge's latest snapshot, both immutable.
	Current() (*catalog.Catalog, *mesh.Snapshot)
	// Changed returns a channel that is closed when Current has a newer value.
	Changed() <-chan struct{}
	// Written changes with everything that is written to the ledger: what was rendered before is then out of date.
	Written() uint64
	// Transitions lists the newest transitions since a time, oldest first: those of the host with this key, or all
	// for "".
	Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error)
	// PublicTransitions is Transitions of the hosts with these keys, without what happened while they were internal.
	PublicTransitions(ctx context.Context, hosts []string, since time.Time, limit int) ([]mesh.Transition, error)
	// TransitionsOf returns the transitions that updates of an incident are made of, however old, oldest first.
	TransitionsOf(ctx context.Context, parts []incident.Update) ([]mesh.Transition, error)
	// Incidents lists incidents, newest first; those of a public query without the parts of other hosts.
	Incidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error)
	// Incident returns the incident with the id, or nil if there is none.
	Incident(ctx context.Context, id string) (*incident.Incident, error)
	// Components returns when each host and check entered the catalog, by its id.
	Components(ctx context.Context) (map[string]ledger.Component, error)
	// Gaps lists what the streams have lost by damage, in wall time.
	Gaps(ctx context.Context) ([]ledger.Gap, error)
	// Uptime reports how long hosts and checks of the catalog, and those of before, were up.
	Uptime(ctx context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error)
	// Latency reports how long checks of the catalog took to answer.
	Latency(ctx context.Context, c *catalog.Catalog, q latency.Request) (latency.Report, error)
	// Overview returns what pages show of the latency of every host of the catalog.
	Overview(ctx context.Context, c *catalog.Catalog, public bool) (latency.Overview, error)
	// Archive returns what people read about the past.
	Archive() Archive
	// Maintenances lists the maintenances that may touch a period of wall time.
	Maintenances(ctx context.Context, from, to time.Time) ([]*maintenance.Maintenance, error)
	// Maintenance returns the maintenance with the id, or an error of the kind NotFound.
	Maintenance(ctx context.Context, id string) (*maintenance.Maintenance, error)
	// Ready reports whether agents can connect.
	Ready() bool
}

// Audience is the group that an answer is meant for: the public sees public hosts and regions, operators every host and
// vantage.
type Audience int

// The audiences. The zero value is the one that sees less.
const (
	Public Audience = iota
	Operators
)

// View is the only access that handlers have to a Source. It removes what its audience must not see before a handler
// can render it, so a handler cannot leak by forgetting a check. View is safe for concurrent use.
type View struct {
	source   Source
	audience Audience

	latest atomic.Pointer[filteredSnapshot]
	open   perState[[]*incident.Incident]
}

// filteredSnapshot is a snapshot and its public part. All readers of a moment share it: caches recognise a moment by
// the pointer.
type filteredSnapshot struct{ full, public *mesh.Snapshot }

// NewView returns the view of an audience.
func NewView(s Source, a Audience) *View { return &View{source: s, audience: a} }

// Gaps lists the losses of the history, which no reader may take for a time without incidents.
func (v *View) Gaps(ctx context.Context) ([]ledger.Gap, error) { return v.source.Gaps(ctx) }

// State returns what to render now.
func (v *View) State() State {
	c, snapshot := v.source.Current()
	if v.audience == Public {
		snapshot = v.public(snapshot)
	}
	// After the snapshot: a state with the same one and another number is the newer of the two.
	return State{c, snapshot, v.source.Written(), v.audience}
}

func (v *View) public(s *mesh.Snapshot) *mesh.Snapshot {
	for {
		latest := v.latest.Load()
		if latest != nil && latest.full == s {
			return latest.public
		}
		next := &filteredSnapshot{s, PublicSnapshot(s)}
		if v.latest.CompareAndSwap(latest, next) {
			return next.public
		}
	}
}

// Changed returns a channel that is closed when State has a newer value.
func (v *View) Changed() <-chan struct{} { return v.source.Changed() }

// Ready reports whether agents can connect.
func (v *View) Ready() bool { return v.source.Ready() }

// Transitions lists the newest transitions since a time, oldest first: those of the host with this key, or all for "".
func (v *View) Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error) {
	if v.audience == Operators {
		return v.source.Transitions(ctx, host, since, limit)
	}
	hosts := v.publicHosts()
	if host != "" {
		hosts = slices.DeleteFunc(hosts, func(key string) bool { return key != host })
	}
	all, err := v.source.PublicTransitions(ctx, hosts, since, limit)
	return publicTransitions(v, all), err
}

// publicTransitions returns what the public may see of transitions.
func publicTransitions(v *View, all []mesh.Transition) (out []mesh.Transition) {
	c, _ := v.source.Current()
	for _, t := range all {
		if h := c.Host(mesh.Key(t.Host)); t.Public && h != nil && h.Public && !internalNow(c, t.Host, t.Check) {
			out = append(out, publicTransition(t))
		}
	}
	return out
}

// TransitionsOf returns the transitions that updates of an incident are made of, as far as the view's audience may see
// them.
func TransitionsOf(ctx context.Context, v *View, parts []incident.Update) ([]mesh.Transition, error) {
	all, err := v.source.TransitionsOf(ctx, parts)
	if err != nil || v.audience == Operators {
		return all, err
	}
	return publicTransitions(v, all), nil
}

// Incidents lists incidents that were not resolved before the time, newest first.
func (v *View) Incidents(ctx context.Context, since time.Time, limit int) ([]*incident.Incident, error) {
	return v.FindIncidents(ctx, incident.Query{Since: since, Limit: limit})
}

// FindIncidents lists the incidents of a query that the audience may see, newest first.
func (v *View) FindIncidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error) {
	if v.audience == Operators {
		return v.source.Incidents(ctx, q)
	}
	q.Public, q.Hosts = true, v.publicHosts()
	all, err := v.source.Incidents(ctx, q)
	if err != nil {
		return nil, err
	}
	c, _ := v.source.Current()
	var out []*incident.Incident
	for _, i := range all {
		if i = shownChecks(c, i); i != nil {
			out = append(out, publicIncident(i))
		}
	}
	return out, nil
}

// Components returns when each host and check entered the catalog, by its id. It includes hosts that the audience may
// not see, so a caller must look up only the ids that it shows.
func (v *View) Components(ctx context.Context) (map[string]ledger.Component, error) {
	return v.source.Components(ctx)
}

// Incident returns the incident with the id, or nil if there is none. One that another incident continues has no more
// than that one's id in Merged.
func (v *View) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	i, err := v.source.Incident(ctx, id)
	if err != nil || i == nil || v.audience == Operators {
		return i, err
	}
	if i.Merged != "" {
		return v.continued(ctx, i)
	}
	// The snapshot may be older than what was just published.
	if !i.Shown(time.Now().Add(v.State().Snapshot.Offset)) {
		return nil, nil
	}
	c, _ := v.source.Current()
	if i = i.Only(v.publicHosts()); i != nil {
		i = shownChecks(c, i)
	}
	if i == nil {
		return nil, nil
	}
	return publicIncident(i), nil
}

// continued returns an incident that another one continues, if the public may see that one.
func (v *View) continued(ctx context.Context, i *incident.Incident) (*incident.Incident, error) {
	if into, err := v.Incident(ctx, i.Merged); into == nil || err != nil {
		return nil, err
	}
	return &incident.Incident{ID: i.ID, Merged: i.Merged}, nil
}

// Uptime reports how long the host with this key and its checks, or for "" all, were up in a period.
func (v *View) Uptime(ctx context.Context, host string, from, to time.Time) (sla.Report, error) {
	return v.uptime(ctx, host, sla.Query{From: from, To: to})
}

// DailyUptime is Uptime of all hosts with each of the days.
func (v *View) DailyUptime(ctx context.Context, from, to time.Time) (sla.Report, error) {
	return v.uptime(ctx, "", sla.Query{From: from, To: to, Daily: true})
}

func (v *View) uptime(ctx context.Context, host string, q sla.Query) (sla.Report, error) {
	c, _ := v.source.Current()
	include := func(string) bool { return true }
	if v.audience == Public {
		hosts := v.publicHosts()
		include = func(key string) bool { return slices.Contains(hosts, key) }
	}
	q.Host = host
	q.Include = func(key string) bool { return (host == "" || key == host) && include(key) }
	q.Public = v.audience == Public
	report, err := v.source.Uptime(ctx, c, q)
	if q.Public {
		report.Rows = slices.DeleteFunc(report.Rows, func(row sla.Row) bool { return internalNow(c, row.Host, row.Check) })
	}
	return report, err
}

// LatencyQuery selects what Latency reports: the hosts, checks and regions with the names, or all for "".
type LatencyQuery struct {
	Host, Check, Region string
	By                  latency.Step
	From, To            time.Time // by the wall clock
}

// Latency reports how long checks took to answer, by region and hour or day. It names vantages to operators only.
func (v *View) Latency(ctx context.Context, q LatencyQuery) (latency.Report, error) {
	c, _ := v.source.Current()
	host := mesh.Key(q.Host)
	visible := v.visible(c)
	r, err := v.source.Latency(ctx, c, latency.Request{
		Include: func(key string) bool { return (host == "" || key == host) && visible(key) },
		Check:   q.Check, Region: q.Region, By: q.By, Public: v.audience == Public, From: q.From, To: q.To,
	})
	if v.audience == Public {
		r.HideVantages()
		r.Rows = slices.DeleteFunc(r.Rows, func(row latency.Row) bool { return internalNow(c, row.Host, row.Check) })
	}
	return r, err
}

// Overview returns what pages show of the latency of every host that the audience may see: its median, and of each
// check and region the latest round-trip time, quantiles of a day, and the last 48 hours. It is some seconds old.
func (v *View) Overview(ctx context.Context) (latency.Overview, error) {
	c, _ := v.source.Current()
	all, err := v.source.Overview(ctx, c, v.audience == Public)
	visible := v.visible(c)
	for key, host := range all {
		if !visible(key) {
			delete(all, key)
			continue
		}
		for name, regions := range host.Checks {
			switch {
			case v.audience == Operators:
			case internalNow(c, key, name):
				delete(host.Checks, name)
			default:
				host.Checks[name] = latency.WithoutVantages(regions)
			}
		}
	}
	return all, err
}

// visible returns what reports whether the audience may see the host with a key.
func (v *View) visible(c *catalog.Catalog) func(key string) bool {
	if v.audience == Operators {
		return func(string) bool { return true }
	}
	return func(key string) bool {
		h := c.Host(key)
		return h != nil && h.Public
	}
}

// internalNow reports whether the check, by the names that its host and it have now, is internal of a public host.
func internalNow(c *catalog.Catalog, host, check string) bool {
	h := c.Host(mesh.Key(host))
	if h == nil || check == "" {
		return false
	}
	is := h.Check(check)
	return is != nil && is.Internal
}

// shownChecks returns an incident without what was measured of checks that have become internal since; nil if that was
// all of it. Texts stay as they were published.
func shownChecks(c *catalog.Catalog, i *incident.Incident) *incident.Incident {
	return incident.WithoutChecks(i, func(host, check string) bool { return internalNow(c, host, check) })
}

// publicHosts returns the keys of the hosts that are public now. What was published of others stays in the ledger, for
// operators.
func (v *View) publicHosts() []string {
	c, _ := v.source.Current()
	var keys []string
	for _, h := range c.Hosts {
		if h.Public {
			keys = append(keys, h.Key())
		}
	}
	return keys
}

// PublicSnapshot returns what the public may see of a snapshot: public hosts, each check as PublicCheck shows it, and
// of the mesh itself only that something is wrong. It is built field by field, so that a new field of a snapshot
// stays internal until it is added here. Sentences are safe: they come from package sentence and contain no text of
// agents.
func PublicSnapshot(s *mesh.Snapshot) *mesh.Snapshot {
	out := &mesh.Snapshot{At: s.At, Offset: s.Offset, Sequence: s.Sequence, Revision: s.Revision}
	if len(s.Alerts) > 0 {
		out.Alerts = []string{"something is wrong with the mesh itself"}
	}
	for _, h := range s.Hosts {
		if !h.Public {
			continue
		}
		host := mesh.HostState{
			Name: h.Name, Region: h.Region, Public: true, Status: h.Status, Since: h.Since, Sentence: h.Sentence,
			Checks: make([]mesh.CheckState, 0, len(h.Checks)),
		}
		for _, c := range h.Checks {
			if !c.Internal {
				host.Checks = append(host.Checks, PublicCheck(c))
			}
		}
		out.Hosts = append(out.Hosts, host)
	}
	return out
}

// PublicCheck returns what the public may see of a check. Votes name no vantage and give no reason, with one
// exception: once a quorum confirmed that the check is down or partial, a bad vote carries one of the fixed phrases
// of mesh.Failure.
func PublicCheck(c mesh.CheckState) mesh.CheckState {
	return mesh.CheckState{
		Name: c.Name, Kind: c.Kind, Critical: c.Critical, Verdict: c.Verdict, Since: c.Since, Sentence: c.Sentence,
		Tally: c.Tally, RoundOpen: c.RoundOpen, Votes: publicVotes(c.Votes, c.Verdict), Maintenance: c.Maintenance,
	}
}

func publicVotes(votes []mesh.RegionVote, verdict mesh.Verdict) []mesh.RegionVote {
	confirmed := verdict == mesh.Down || verdict == mesh.Partial
	out := make([]mesh.RegionVote, len(votes))
	for i, v := range votes {
		out[i] = mesh.RegionVote{Region: v.Region, Own: v.Own, Vote: v.Vote, Since: v.Since}
		if confirmed && v.Vote == mesh.Bad && !v.Own {
			out[i].Why = v.Failure().String()
		}
	}
	return out
}

// publicTransition returns what the public may see of a transition of a public host. Its sentence is safe: the ledger
// rewrites those that earlier versions stored with the text of agents.
func publicTransition(t mesh.Transition) mesh.Transition {
	return mesh.Transition{
		ID: t.ID, Sequence: t.Sequence, Host: t.Host, Public: t.Public, Check: t.Check, Was: t.Was,
		Verdict: t.Verdict, From: t.From, To: t.To, Began: t.Began, Published: t.Published, Sentence: t.Sentence,
		Tally: t.Tally, Votes: publicVotes(t.Votes, t.Verdict),
	}
}

// publicIncident returns what the public may see of a public incident's part of public hosts.
func publicIncident(i *incident.Incident) *incident.Incident {
	return &incident.Incident{
		ID: i.ID, State: i.State, Impact: i.Impact, Began: i.Began, Opened: i.Opened, Updated: i.Updated,
		Resolved: i.Resolved, Hosts: slices.Clone(i.Hosts), Updates: slices.Clone(i.Updates), LeftOut: i.LeftOut,
		Over: i.Over, Public: i.Public, Said: i.Said, SaidImpact: i.SaidImpact, Titles: slices.Clone(i.Titles),
		Entries: slices.Clone(i.Entries), Tags: slices.Clone(i.Tags), Category: i.Category, NextUpdate: i.NextUpdate,
	}
}
