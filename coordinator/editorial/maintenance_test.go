package editorial_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// planner is an editor of maintenance whose ledger and clock are in memory.
type planner struct {
	editorial.MaintenanceEditor
	fake    *fake
	now     time.Time
	planned map[string]*maintenance.Maintenance
	settled int // how often readers were brought up to date
}

func newPlanner() *planner {
	p := &planner{
		fake: &fake{texts: map[string][]byte{}}, planned: map[string]*maintenance.Maintenance{},
		now: time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC),
	}
	c := &catalog.Catalog{Hosts: []catalog.Host{
		{Name: "NC036", Checks: []catalog.Check{{Name: "ping"}, {Name: "SMTP"}}}, {Name: "NC041"},
	}}
	p.MaintenanceEditor = editorial.New(editorial.Config{
		Texts: p.fake, Ledger: p, Maintenances: p, Catalog: func() *catalog.Catalog { return c },
		MaintenanceChanged: func(context.Context) { p.settled++ },
		Clock:              func() (time.Time, time.Duration) { return p.now.Add(time.Hour), time.Hour },
		Logger:             zerolog.Nop(),
	}).Maintenance()
	return p
}

// Append folds the events as the view does.
func (p *planner) Append(_ context.Context, events ...ledger.Event) error {
	for _, one := range events {
		e := one.(ledger.MaintenanceEvent)
		m := p.planned[e.ID]
		if m == nil {
			m = &maintenance.Maintenance{ID: e.ID, Schedule: *e.Schedule, Targets: e.Targets}
			p.planned[e.ID] = m
		}
		m.Changes = append(m.Changes, maintenance.Change{
			ID: e.Event, Action: e.Action, At: e.Wall(), Occurrence: e.Occurrence, Until: e.Until,
		})
	}
	return nil
}

func (p *planner) Get(_ context.Context, id string) (*maintenance.Maintenance, error) {
	if m := p.planned[id]; m != nil {
		return m, nil
	}
	return nil, ledger.ErrNoMaintenance
}

func (p *planner) List(_ context.Context, _, _ time.Time, limit int) (out []*maintenance.Maintenance, _ error) {
	for _, m := range p.planned {
		if len(out) < limit {
			out = append(out, m)
		}
	}
	return out, nil
}

// A plan that is not possible is refused with the field, and with what is possible; nothing of it is stored.
func TestPlansAreBounded(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*editorial.MaintenancePlan)
		says   string
		kind   errkind.Kind
	}{
		"no title": {func(p *editorial.MaintenancePlan) { p.Title = "" }, "title", errkind.Invalid},
		"no host":  {func(p *editorial.MaintenancePlan) { p.Hosts = nil }, "host: name at least one", errkind.Invalid},
		"a host":   {func(p *editorial.MaintenancePlan) { p.Hosts = []string{"x"} }, `host: "x"`, errkind.NotFound},
		"a check": {func(p *editorial.MaintenancePlan) {
			p.Checks = []string{"x"}
		}, `it has "ping", "SMTP"`, errkind.NotFound},
		"no end": {func(p *editorial.MaintenancePlan) { p.End = time.Time{} }, "end: say when", errkind.Invalid},
		"in the past": {func(p *editorial.MaintenancePlan) {
			p.Start = p.Start.AddDate(-1, 0, 0)
		}, "start:", errkind.Invalid},
		"backwards": {func(p *editorial.MaintenancePlan) { p.End = p.Start }, "end:", errkind.Invalid},
		"a rule":    {func(p *editorial.MaintenancePlan) { p.Rule = "FREQ=SECONDLY" }, "rrule:", errkind.Invalid},
		"a rule that starts now": {func(p *editorial.MaintenancePlan) {
			p.Start, p.Rule = time.Time{}, "FREQ=DAILY"
		}, "rrule:", errkind.Invalid},
		"a zone":     {func(p *editorial.MaintenancePlan) { p.Zone = "Mars" }, "zone:", errkind.Invalid},
		"an overrun": {func(p *editorial.MaintenancePlan) { p.Overrun = "long" }, "overrun:", errkind.Invalid},
		"too much of it": {func(p *editorial.MaintenancePlan) {
			p.Overrun = "99h"
		}, "overrun:", errkind.Invalid},
		"a tag":  {func(p *editorial.MaintenancePlan) { p.Tags = []string{"a b"} }, "tag", errkind.Invalid},
		"a text": {func(p *editorial.MaintenancePlan) { p.Text = "\x1b" }, "text", errkind.Invalid},
	} {
		p := newPlanner()
		plan := editorial.MaintenancePlan{
			Title: "New disk", Hosts: []string{"nc036"}, Start: p.now.Add(time.Hour), End: p.now.Add(2 * time.Hour),
		}
		test.change(&plan)
		_, err := p.Plan(t.Context(), plan)
		if err == nil || !strings.Contains(err.Error(), test.says) || errkind.Of(err) != test.kind {
			t.Errorf("%s: %v", name, err)
		}
		if _, preview := p.Preview(t.Context(), plan); preview == nil || preview.Error() != err.Error() {
			t.Errorf("%s: the preview says %v", name, preview)
		}
		if len(p.planned)+len(p.fake.texts)+p.settled > 0 {
			t.Errorf("%s: something is stored", name)
		}
	}
}

// Each action is possible in some states only, and takes effect at once; readers are up to date when it is answered.
func TestActionsHaveTheirStates(t *testing.T) {
	p := newPlanner()
	plan := editorial.MaintenancePlan{
		Title: "New disk", Hosts: []string{"NC036"}, Checks: []string{"smtp"}, Text: "*Full.*",
		Start: p.now.Add(time.Hour), End: p.now.Add(2 * time.Hour),
	}
	id, err := p.Plan(t.Context(), plan)
	if err != nil || p.settled != 1 || len(p.fake.texts) != 1 {
		t.Fatal(err, p.settled)
	}
	refused := func(when string, actions ...maintenance.Action) {
		t.Helper()
		for _, a := range actions {
			_, err := p.Change(t.Context(), editorial.MaintenanceChange{ID: id, Action: a, End: p.now.Add(9 * time.Hour)})
			if errkind.Of(err) != errkind.Conflict {
				t.Errorf("%s: %s: %v", when, a, err)
			}
		}
	}
	done := func(a maintenance.Action, end time.Duration, want maintenance.State) editorial.MaintenanceEntry {
		t.Helper()
		c := editorial.MaintenanceChange{ID: id, Action: a, Text: "Why."}
		if end > 0 {
			c.End = p.now.Add(end)
		}
		entry, err := p.Change(t.Context(), c)
		if err != nil || entry.State != want {
			t.Fatalf("%s: %v %+v", a, err, entry)
		}
		return entry
	}
	refused("scheduled", maintenance.End, maintenance.Verify)
	p.now = p.now.Add(30 * time.Minute)
	if e := done(maintenance.Start, 0, maintenance.InProgress); !e.Start.Equal(p.now) || e.End.Sub(e.Start) != time.Hour ||
		e.Covers[0] != (editorial.MaintenanceTarget{Host: "NC036", Check: "SMTP"}) {
		t.Errorf("started early: %+v", e)
	}
	refused("in progress", maintenance.Start, maintenance.Cancel)
	for _, end := range []time.Duration{-time.Hour, 30 * time.Minute, time.Hour} {
		_, err := p.Change(t.Context(), editorial.MaintenanceChange{ID: id, Action: maintenance.Extend, End: p.now.Add(end)})
		if errkind.Of(err) != errkind.Invalid || !strings.Contains(err.Error(), "end:") {
			t.Errorf("extended by %s: %v", end, err)
		}
	}
	if e := done(maintenance.Extend, 3*time.Hour, maintenance.InProgress); !e.End.Equal(p.now.Add(3 * time.Hour)) {
		t.Errorf("extended: %+v", e)
	}
	done(maintenance.Verify, 0, maintenance.Verifying)
	refused("verifying", maintenance.Verify, maintenance.Start, maintenance.Cancel)
	p.now = p.now.Add(time.Minute)
	done(maintenance.End, 0, maintenance.Completed)
	refused("over", maintenance.End, maintenance.Start, maintenance.Cancel, maintenance.Verify, maintenance.Extend)
	for _, unknown := range []string{"x", id + "-20260301t020000z"} {
		_, err := p.Change(t.Context(), editorial.MaintenanceChange{ID: unknown, Action: maintenance.End})
		if errkind.Of(err) != errkind.NotFound {
			t.Errorf("%s: %v", unknown, err)
		}
	}
	_, err = p.Change(t.Context(), editorial.MaintenanceChange{ID: id, Action: "x"})
	if errkind.Of(err) != errkind.Invalid {
		t.Errorf("another action: %v", err)
	}
}

// An occurrence may not last into the next one, and there are not so many maintenances that judging gets slow.
func TestOccurrencesDoNotOverlap(t *testing.T) {
	p := newPlanner()
	plan := editorial.MaintenancePlan{
		Title: "Updates", Hosts: []string{"NC041"}, Start: p.now.Add(time.Hour), End: p.now.Add(2 * time.Hour),
		Rule: "FREQ=DAILY",
	}
	id, err := p.Plan(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Change(t.Context(), editorial.MaintenanceChange{
		ID: id, Action: maintenance.Extend, End: p.now.Add(26 * time.Hour),
	})
	if errkind.Of(err) != errkind.Conflict || !strings.Contains(err.Error(), "cancel "+id+"-20260302t020000z") {
		t.Error(err)
	}
	for range 499 {
		if _, err := p.Plan(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Plan(t.Context(), plan); errkind.Of(err) != errkind.Conflict {
		t.Errorf("one more: %v", err)
	}
}
