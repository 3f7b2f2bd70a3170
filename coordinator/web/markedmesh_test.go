package web_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sla"
	"github.com/probemesh/probemesh/pkg/wire"
)

// mark is in every text that the public must not read.
const mark = "qsecretq"

// markedReasons are reasons as agents report them: of this version, of earlier ones, and hostile ones.
var markedReasons = []string{
	"redirects to https://elsewhere.example/?key=" + mark + " (status 302), wanted 200",
	`banner "554 ` + mark + `" does not match`,
	`malformed answer: malformed HTTP response "` + mark + `"`, "status 503 " + mark, mark, "timeout " + mark,
	"certificate is for " + mark + ", not mail.example.net", "<script>" + mark + "</script>",
	`body lacks "` + mark + `"`,
	"host unreachable, says router " + mark,
}

// markedMesh is a web.Source and a console.Source with a real judge and ledger, and agents that write the mark wherever
// they can. Its time passes in run only.
type markedMesh struct {
	catalog *catalog.Catalog
	judge   *judge.Judge
	ledger  *ledger.Ledger
	view    *view.View
	reasons []string
	first   int // index of the reason that the first agent reports

	now      time.Time
	sequence uint64
	batches  uint64
	bad      []string // regions that cannot reach NC1
	silent   []string // regions whose agents are silent
	rounds   map[string]uint64
	snapshot *mesh.Snapshot
	of       uint64 // the sequence of the snapshot
}

// Gaps returns none.
func (m *markedMesh) Gaps(context.Context) ([]ledger.Gap, error) { return nil, nil }

func newMarkedMesh(t *testing.T) *markedMesh {
	t.Helper()
	c := &catalog.Catalog{Page: catalog.Page{Title: "Status"}, Rule: catalog.DefaultRule()}
	roster := &mesh.Roster{}
	cities := map[string]string{
		"ams": "Amsterdam", "lon": "London", "van": "Vancouver", "nyc": "New York", "tor": "Toronto",
		"lus": "Lusaka", "syd": "Sydney", "sea": "Seattle",
	}
	for i, region := range []string{"ams", "lon", "van", "nyc", "tor", "lus", "syd", "sea"} {
		c.Regions = append(c.Regions, catalog.Region{Name: region, City: cities[region], Country: "XX"})
		h := catalog.Host{Name: mark + region, Region: region, Addresses: []string{"192.0.2.1"}, Checks: markedChecks()}
		if i == 0 {
			h.Name, h.Public = "NC1", true
			later := internalCheck()
			later.Name, later.Internal = laterInternal, false
			h.Checks = append(h.Checks, internalCheck(), later)
		}
		if i == 1 {
			h.Name, h.Public, h.Checks = "NC2", true, markedChecks()[:1]
		}
		c.Hosts = append(c.Hosts, h)
		roster.Vantages = append(roster.Vantages, h.Key())
	}
	catalog.Seal(c)
	slices.Sort(roster.Vantages)
	m := &markedMesh{catalog: c, now: time.Now().UTC().Add(-time.Hour), reasons: markedReasons,
		rounds: map[string]uint64{}}
	log := &memoryLog{created: m.now, texts: map[string][]byte{}}
	var err error
	if m.view, err = view.Open(t.Context(), filepath.Join(t.TempDir(), "view.db"), log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.view.Close() })
	if m.ledger, err = ledger.Open(t.Context(), log, m.view); err != nil {
		t.Fatal(err)
	}
	m.append(ledger.CatalogEvent{Catalog: c, Source: mark, Mesh: m.now})
	m.append(earlierOutage(m.now.Add(-50*time.Hour), "NC1", mesh.Down),
		earlierOutage(m.now.Add(-49*time.Hour), "NC1", mesh.Up))
	m.append(earlierOutage(m.now.Add(-2*time.Hour), "NC2", mesh.Down))
	tags := []string{mark} // what people write about an internal host
	m.append(ledger.IncidentEvent{Change: incident.Change{
		Event: "e1", ID: "internal", Action: incident.ActionOpen, State: incident.Investigating, Tags: &tags,
		Category: &tags[0], Hosts: []incident.Subject{{ID: c.Hosts[2].Identity(), Name: c.Hosts[2].Name}}, Mesh: m.now,
	}})
	m.publishPosts(t, log)
	// Two maintenances: one of a public host and of one that is internal, and one of the internal host alone.
	plan := ledger.MaintenanceEvent{
		Event: "1", ID: plannedID, Action: maintenance.Plan, Mesh: m.now,
		Schedule: &maintenance.Schedule{
			Start: m.now.Add(24 * time.Hour).Truncate(time.Second), End: m.now.Add(25 * time.Hour).Truncate(time.Second),
			Rule: "FREQ=DAILY",
		},
		Targets: []maintenance.Target{{Host: c.Hosts[0].Identity()}, {Host: c.Hosts[5].Identity()}},
	}
	hidden := plan
	hidden.Event, hidden.ID, hidden.Targets = "2", mark, plan.Targets[1:]
	m.append(plan)
	m.append(hidden)
	m.judge = judge.New(judge.Start{Catalog: c, Roster: roster})
	m.restart(t)
	return m
}

// markedChecks have the mark in those options that only operators may read.
func markedChecks() []catalog.Check {
	all := catalog.Check{Critical: true, Interval: 10 * time.Second, Timeout: 3 * time.Second}
	smtp, web := all, all
	smtp.Name, smtp.Kind, smtp.Options = "smtp", catalog.KindTCP, catalog.TCP{Port: 25, Banner: mark}
	web.Name, web.Kind, web.Options = "web", catalog.KindHTTP, catalog.HTTP{
		URL: "https://" + mark + ":" + mark + "@www.example.net/" + mark + "?key=" + mark, Body: mark,
	}
	return []catalog.Check{smtp, web}
}

// laterInternal is the name of a check that is public at first.
const laterInternal = "qlaterq"

// internalCheck is a check of a public host that only operators may read of: its name has the mark.
func internalCheck() catalog.Check {
	return catalog.Check{
		Kind: catalog.KindTCP, Name: "queue " + mark, Critical: true, Internal: true,
		Interval: 10 * time.Second, Timeout: 3 * time.Second, Options: catalog.TCP{Port: 26},
	}
}

// earlierOutage is a transition as earlier versions stored it: with the text of agents in its sentence.
func earlierOutage(at time.Time, host string, verdict mesh.Verdict) ledger.TransitionEvent {
	tr := mesh.Transition{
		ID: "7-" + strings.ToLower(host) + "-1", Host: host, Public: true, Check: "smtp", Was: mesh.Up,
		Verdict: verdict, From: mesh.Operational,
		To: mesh.MajorOutage, Began: at.Add(-2 * time.Second), Published: at, Cause: mark,
		Tally:    mesh.Tally{Regions: 8, Voters: 7, Bad: 7},
		Sentence: "Down: 7 of 7 regions got '" + markedReasons[0] + "' on port 25.",
		Rule:     "more than half of all regions say bad",
	}
	if verdict == mesh.Up {
		tr.Was, tr.From, tr.To, tr.Tally = mesh.Down, mesh.MajorOutage, mesh.Operational,
			mesh.Tally{Regions: 8, Voters: 7, OK: 7}
	}
	for _, region := range []string{"lus", "van", "nyc"} {
		tr.Votes = append(tr.Votes, mesh.RegionVote{Region: region, Vote: mesh.Bad, Since: tr.Began, Why: mark,
			Edges: []mesh.EdgeState{
				{Vantage: mark + region, Vote: mesh.Bad, Reason: markedReasons[0], Why: mark},
			}})
	}
	return ledger.TransitionEvent{Transition: tr}
}

// restart replaces the judge by a new one that continues from the ledger.
func (m *markedMesh) restart(t *testing.T) {
	t.Helper()
	latest, err := m.view.Standings(t.Context(), m.now)
	if err != nil {
		t.Fatal(err)
	}
	roster := &mesh.Roster{}
	for _, h := range m.catalog.Hosts {
		roster.Vantages = append(roster.Vantages, h.Key())
	}
	var standings []judge.Standing
	for _, s := range latest {
		standings = append(standings, judge.StandingOf(s))
	}
	m.judge, m.snapshot = judge.New(judge.Start{Catalog: m.catalog, Roster: roster, Standings: standings}), nil
	m.rounds = map[string]uint64{}
	m.step(judge.Input{})
}

func (m *markedMesh) append(events ...ledger.Event) {
	if err := m.ledger.Append(context.Background(), events...); err != nil {
		panic(err) // a log in memory cannot fail
	}
}

// fail sets the regions that cannot reach NC1.
func (m *markedMesh) fail(regions ...string) { m.bad = regions }

// check is NC1's first check.
func (m *markedMesh) check() mesh.CheckState {
	_, s := m.Current()
	return s.Hosts[0].Checks[0]
}

// run lets time pass. Every agent sends a batch each second, which answers rounds and, every ten seconds, has a result
// of every check.
func (m *markedMesh) run(d time.Duration) {
	for end := m.now.Add(d); m.now.Before(end); {
		m.now = m.now.Add(time.Second)
		rounds := m.rounds
		m.rounds = map[string]uint64{}
		for i, h := range m.catalog.Hosts {
			if !slices.Contains(m.silent, h.Region) {
				m.send(h, i, rounds)
			}
		}
		m.step(judge.Input{})
	}
}

// send passes a batch of one agent to the judge, through the wire encoding.
func (m *markedMesh) send(agent catalog.Host, place int, rounds map[string]uint64) {
	m.batches++
	b := &mesh.Batch{
		Agent: agent.Key(), Epoch: 1, Sequence: m.batches, Revision: m.catalog.Revision, Version: "1.2-" + mark,
		Began: m.now, Connected: m.now.Add(-time.Hour),
		SpoolOff: mark, Refusal: mesh.Refusal{Revision: mark, Reason: mark},
	}
	scheduled := (m.now.Unix()+int64(place))%10 == 0
	for _, h := range m.catalog.Hosts {
		round := rounds[h.Key()]
		if h.Region == agent.Region || round == 0 && !scheduled {
			continue
		}
		for n, c := range h.Checks {
			b.Observations = append(b.Observations, m.observe(h, c, agent,
				m.reasons[(place+n+m.first)%len(m.reasons)], round))
		}
	}
	data, err := wire.EncodeBatch(b)
	if err != nil {
		panic(err)
	}
	decoded, err := wire.DecodeBatch(data, 0, time.Hour, m.now)
	if err != nil {
		panic(err)
	}
	m.step(judge.Input{Batch: decoded})
}

// observe is an agent's result of one check. NC1 fails from bad regions; the agent in Seattle may not run its second
// check.
func (m *markedMesh) observe(h catalog.Host, c catalog.Check, agent catalog.Host, reason string,
	round uint64) mesh.Observation {
	o := mesh.Observation{
		Host: h.Key(), Check: c.Name, Family: mesh.IPv4, Began: m.now.Add(-300 * time.Millisecond),
		Elapsed: 200 * time.Millisecond, Sent: 1, Round: round,
		Outcome: mesh.Reachable, RTT: 80 * time.Millisecond,
	}
	switch {
	case h.Name == "NC1" && slices.Contains(m.bad, agent.Region):
		o.Outcome, o.Reason, o.RTT = mesh.Unreachable, reason, 0
	case c.Name == "web" && agent.Region == "sea":
		o.Outcome, o.Reason, o.RTT = mesh.Inconclusive, "not permitted: "+mark, 0
	}
	return o
}

func (m *markedMesh) step(in judge.Input) {
	m.sequence++
	in.Sequence, in.At = m.sequence, m.now
	out := m.judge.Step(in)
	for _, tr := range out.Transitions {
		m.append(ledger.TransitionEvent{Transition: tr})
	}
	for _, ask := range out.Asks {
		m.rounds[ask.Host] = ask.Round
	}
}

func (m *markedMesh) Current() (*catalog.Catalog, *mesh.Snapshot) {
	if m.snapshot == nil || m.of != m.sequence {
		m.snapshot, m.of = m.judge.Snapshot(), m.sequence
		m.snapshot.Alerts = append(m.snapshot.Alerts, mark)
	}
	return m.catalog, m.snapshot
}

func (m *markedMesh) Written() uint64             { return m.view.Applied() }
func (m *markedMesh) Archive() web.Archive        { return m.view.Archive() }
func (m *markedMesh) Changed() <-chan struct{}    { return nil }
func (m *markedMesh) Ready() bool                 { return true }
func (m *markedMesh) Warnings() map[string]string { return map[string]string{mark: mark} }

func (m *markedMesh) Streams(context.Context) ([]bus.StreamInfo, error) { return nil, nil }
func (m *markedMesh) Counters() map[string]uint64                       { return nil }
func (m *markedMesh) Minutes(context.Context, *catalog.Catalog, latency.MinutesRequest) ([]latency.Point, error) {
	return nil, nil
}
func (m *markedMesh) DecidedAt(ctx context.Context, sequence uint64) ([]mesh.Transition, error) {
	all, err := m.view.Transitions(ctx, "", time.Time{}, view.TransitionsMax)
	return slices.DeleteFunc(all, func(t mesh.Transition) bool { return t.Sequence != sequence }), err
}

func (m *markedMesh) Losses(context.Context, time.Time, time.Time) ([]latency.VantageLoss, error) {
	return nil, nil
}
func (m *markedMesh) Health(context.Context) (h health.Report, err error) { return h, nil }

func (m *markedMesh) TransitionsIn(
	ctx context.Context, host string, since, until time.Time, limit int,
) ([]mesh.Transition, error) {
	return view.TransitionsIn(ctx, m.view, host, since, until, limit)
}

func (m *markedMesh) Transitions(
	ctx context.Context, host string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	return m.view.Transitions(ctx, host, since, limit)
}

func (m *markedMesh) PublicTransitions(
	ctx context.Context, hosts []string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	return m.view.PublicTransitions(ctx, hosts, since, limit)
}

func (m *markedMesh) TransitionsOf(ctx context.Context, parts []incident.Update) ([]mesh.Transition, error) {
	return view.TransitionsOf(ctx, m.view, parts)
}

func (m *markedMesh) Incidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error) {
	in := view.IncidentQuery{Since: q.Since, From: q.From, Until: q.Until, Limit: q.Limit, Offset: q.Offset}
	if q.Public {
		in.Public = &view.PublicIncidents{At: m.now, Hosts: q.Hosts}
	}
	return m.view.Incidents(ctx, in)
}

func (m *markedMesh) Components(ctx context.Context) (map[string]ledger.Component, error) {
	return m.view.Components(ctx)
}

func (m *markedMesh) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	return m.view.Incident(ctx, id)
}

// plannedID is the id of a maintenance of NC1.
const plannedID = "planned"

func (m *markedMesh) Maintenances(ctx context.Context, from, to time.Time) ([]*maintenance.Maintenance, error) {
	return m.view.Maintenances().List(ctx, from, to, 100)
}

func (m *markedMesh) Maintenance(ctx context.Context, id string) (*maintenance.Maintenance, error) {
	return m.view.Maintenances().Get(ctx, id)
}

func (m *markedMesh) Uptime(ctx context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error) {
	now := func() (time.Time, time.Duration) { return m.now, 0 }
	return engine.NewHistory(m.view, now).Uptime(ctx, c, q)
}

func (m *markedMesh) Latency(ctx context.Context, c *catalog.Catalog, q latency.Request) (latency.Report, error) {
	r, err := (&webtest.Source{}).Latency(ctx, c, q)
	for _, row := range r.Rows {
		for i := range row.Points {
			row.Points[i].Worst = mark // a vantage
		}
	}
	return r, err
}

func (m *markedMesh) Overview(ctx context.Context, c *catalog.Catalog, public bool) (latency.Overview, error) {
	all, err := (&webtest.Source{}).Overview(ctx, c, public)
	for _, host := range all {
		for _, regions := range host.Checks {
			for i := range regions {
				regions[i].Day.Worst = mark
				regions[i].Hours = regions[i].Hours.Map(func(_ int, d rollup.Digest) rollup.Digest {
					d.Worst = mark
					return d
				})
				regions[i].Now.Bad = map[string]uint64{mark: 1}
			}
		}
	}
	return all, err
}

// The ids of a post of the public host and of one of an internal host.
const publicPost, internalPost = "p1", "p2"

// publishPosts publishes posts for everybody, of a public host, and with the mark of an internal host.
func (m *markedMesh) publishPosts(t *testing.T, log *memoryLog) {
	t.Helper()
	for id, host := range map[string]int{publicPost: 0, internalPost: 2} {
		text := ledger.Text{Title: "Words", Body: "Some *words*."}
		e := ledger.PostEvent{ID: id, Event: id, Action: ledger.PostPublished, Category: "mail", Mesh: m.now,
			Hosts: []string{m.catalog.Hosts[host].Identity()}, Tags: []string{"shown"}}
		if id == internalPost {
			text = ledger.Text{Title: mark + " words", Body: mark + " words"}
			e.Tags = append(e.Tags, mark)
		}
		data, hash, err := ledger.SealText(text)
		if err != nil {
			t.Fatal(err)
		}
		e.Text = &ledger.TextRef{ID: "text-" + id, Hash: hash}
		log.texts[e.Text.ID] = data
		m.append(e)
	}
}

// memoryLog is the log of a ledger, in memory.
type memoryLog struct {
	created time.Time
	records []ledger.Record
	texts   map[string][]byte
}

func (l *memoryLog) Text(_ context.Context, id string) ([]byte, error) {
	if data, ok := l.texts[id]; ok {
		return data, nil
	}
	return nil, ledger.ErrNoText
}

func (l *memoryLog) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	for _, e := range entries {
		l.records = append(l.records, ledger.Record{Sequence: uint64(len(l.records)) + 1, Time: l.created,
			Subject: e.Subject, Data: e.Data})
	}
	return uint64(len(l.records)), nil
}

func (l *memoryLog) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	for _, r := range l.records {
		if r.Sequence >= from {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *memoryLog) State(context.Context) (ledger.State, error) {
	return ledger.State{Created: l.created, First: 1, Last: uint64(len(l.records))}, nil
}
