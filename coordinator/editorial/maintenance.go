package editorial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// Maintenances reads maintenances as the events left them.
type Maintenances interface {
	List(ctx context.Context, from, to time.Time, limit int) ([]*maintenance.Maintenance, error)
	Get(ctx context.Context, id string) (*maintenance.Maintenance, error)
}

// MaintenanceEditor plans maintenance and changes it. It is safe for concurrent use.
type MaintenanceEditor struct{ editor *Editor }

// Maintenance returns the part of the editor that plans maintenance.
func (e *Editor) Maintenance() MaintenanceEditor { return MaintenanceEditor{e} }

// MaintenancePlan is a maintenance as a person plans it.
type MaintenancePlan struct {
	Title    string    `json:"title"`
	Text     string    `json:"text,omitempty"`   // Markdown
	Hosts    []string  `json:"hosts"`            // as the catalog spells them
	Checks   []string  `json:"checks,omitempty"` // of each of the hosts; none: the hosts as a whole
	Start    time.Time `json:"start,omitzero"`   // zero: now
	End      time.Time `json:"end"`
	Rule     string    `json:"rrule,omitempty"`   // RFC 5545
	Zone     string    `json:"zone,omitempty"`    // IANA name; empty is UTC
	Overrun  string    `json:"overrun,omitempty"` // as in 30m: see maintenance.Schedule
	Tags     []string  `json:"tags,omitempty"`
	Category string    `json:"category,omitempty"`
}

// MaintenanceChange is what a person does to a maintenance.
type MaintenanceChange struct {
	ID     string             `json:"id"` // of a maintenance, or of one occurrence
	Action maintenance.Action `json:"action"`
	End    time.Time          `json:"end,omitzero"`   // of extend and start: the new end
	Text   string             `json:"text,omitempty"` // Markdown
}

// MaintenanceEntry is a maintenance as it is listed: its occurrence that is in progress, else the next, else the last.
type MaintenanceEntry struct {
	ID         string               `json:"id"`
	Occurrence string               `json:"occurrence"` // its id
	State      maintenance.State    `json:"state"`
	Title      string               `json:"title"`
	Covers     []MaintenanceTarget  `json:"covers"`
	Start      time.Time            `json:"start"`
	End        time.Time            `json:"end"`
	Emergency  bool                 `json:"emergency,omitempty"`
	Rule       string               `json:"rrule,omitempty"`
	Zone       string               `json:"zone,omitempty"`
	Tags       []string             `json:"tags,omitempty"`
	Category   string               `json:"category,omitempty"`
	Announced  time.Time            `json:"announced"`
	Next       []time.Time          `json:"next,omitempty"` // starts of the occurrences after it, of one that recurs
	Updates    []maintenance.Update `json:"updates"`        // oldest first
}

// MaintenanceTarget is what a maintenance covers, by name.
type MaintenanceTarget struct {
	Host  string `json:"host"`
	Check string `json:"check,omitempty"`
}

// Plan plans a maintenance and returns its id.
func (m MaintenanceEditor) Plan(ctx context.Context, p MaintenancePlan) (id string, err error) {
	e := m.editor
	e.mu.Lock()
	defer e.mu.Unlock()
	event, err := m.plan(p)
	if err != nil {
		return "", err
	}
	pending, err := e.config.Maintenances.List(ctx, event.Wall(), event.Schedule.End, pendingMax)
	if err != nil {
		return "", err
	}
	if len(pending) >= pendingMax {
		return "", conflict("%d maintenances are not over, which is the most: cancel or end some", len(pending))
	}
	if event.Text, err = e.store(ctx, ledger.Text{Title: p.Title, Body: p.Text}); err != nil {
		return "", err
	}
	return event.ID, m.append(ctx, event)
}

// Preview returns what Plan would publish, and stores nothing.
func (m MaintenanceEditor) Preview(_ context.Context, p MaintenancePlan) (MaintenanceEntry, error) {
	event, err := m.plan(p)
	if err != nil {
		return MaintenanceEntry{}, err
	}
	planned := &maintenance.Maintenance{
		ID: event.ID, Schedule: *event.Schedule, Targets: event.Targets, Tags: event.Tags, Category: event.Category,
		Changes: []maintenance.Change{{
			ID: event.Event, Action: maintenance.Plan, At: event.Wall(), Text: maintenance.Text{Title: p.Title, Body: p.Text},
		}},
	}
	return newMaintenanceEntry(m.editor.config.Catalog(), planned, event.Wall()), nil
}

// pendingMax bounds the maintenances that are not over: each is looked at whenever something is judged.
const pendingMax = 500

// startTolerance is how far in the past a start may be that means now: what a client computed takes time to arrive.
const startTolerance = time.Minute

// plan validates a plan and returns its event, without the text.
func (m MaintenanceEditor) plan(p MaintenancePlan) (event ledger.MaintenanceEvent, err error) {
	event = ledger.MaintenanceEvent{ID: newID(), Action: maintenance.Plan}
	m.stamp(&event)
	if err := checkTitle(p.Title); err != nil {
		return event, errkind.In("title", err)
	}
	if p.Text != "" {
		if err := checkText(p.Text); err != nil {
			return event, errkind.In("text", err)
		}
	}
	if event.Tags, event.Category, err = checkLabels(p.Tags, p.Category); err != nil {
		return event, err
	}
	if event.Targets, err = m.targets(p.Hosts, p.Checks); err != nil {
		return event, err
	}
	now := event.Wall()
	s := &maintenance.Schedule{
		Start: p.Start.UTC().Truncate(time.Second), End: p.End.UTC().Truncate(time.Second),
		Rule: maintenance.NormalRule(p.Rule), Zone: p.Zone,
	}
	if p.Overrun != "" {
		if s.Overrun, err = time.ParseDuration(p.Overrun); err != nil {
			return event, errkind.In("overrun", invalid("overrun: %q: write a duration as in 30m", p.Overrun))
		}
	}
	switch {
	case p.End.IsZero():
		return event, errkind.In("end", invalid("end: say when the maintenance ends; `extend` may move it later"))
	case p.Start.IsZero(), !p.Start.After(now) && now.Sub(p.Start) < startTolerance:
		s.Start, s.Emergency = now.Truncate(time.Second), true
	case !p.Start.After(now):
		return event, errkind.In("start", invalid(
			"start: %s is in the past, and what was measured since stays: leave it out to start now",
			p.Start.UTC().Format(time.RFC3339)))
	}
	if s.Emergency && s.Rule != "" {
		return event, errkind.In("rrule",
			invalid("rrule: a maintenance that starts now cannot recur: give its start, too"))
	}
	event.Schedule = s
	return event, errkind.Wrap(errkind.Invalid, inField(s.Validate(now)))
}

// inField says which field an error of a schedule is about: its text begins with the name.
func inField(err error) error {
	if err != nil {
		field, _, _ := strings.Cut(err.Error(), ": ")
		if slices.Contains([]string{"start", "end", "rrule", "zone", "overrun"}, field) {
			return errkind.In(field, err)
		}
	}
	return err
}

// targets returns what the hosts and checks are by id.
func (m MaintenanceEditor) targets(hosts, checks []string) (out []maintenance.Target, err error) {
	if len(hosts) == 0 {
		return nil, errkind.In("hosts", invalid("host: name at least one host that the maintenance covers"))
	}
	c := m.editor.config.Catalog()
	for _, name := range hosts {
		h := c.HostOnceNamed(name)
		if h == nil {
			return nil, errkind.In("hosts", errkind.New(errkind.NotFound,
				fmt.Sprintf("host: %q is not in the catalog: `coordinator status` lists them", name)))
		}
		found := []maintenance.Target{{Host: h.Identity()}}
		if len(checks) > 0 {
			found = nil
		}
		for _, check := range checks {
			asked := c.CheckOnceNamed(h, check)
			if asked == nil {
				return nil, errkind.In("checks", errkind.New(errkind.NotFound,
					fmt.Sprintf("check: %s has no check %q: it has %s", h.Name, check, checkNames(h))))
			}
			found = append(found, maintenance.Target{Host: h.Identity(), Check: h.IdentityOf(asked)})
		}
		for _, t := range found {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	if len(out) > maintenance.TargetsMax {
		return nil, errkind.In("hosts", invalid("host: a maintenance covers at most %d hosts or checks, not %d",
			maintenance.TargetsMax, len(out)))
	}
	return out, nil
}

func checkNames(h *catalog.Host) string {
	names := make([]string, len(h.Checks))
	for i, c := range h.Checks {
		names[i] = fmt.Sprintf("%q", c.Name)
	}
	return strings.Join(names, ", ")
}

// Change starts, verifies, extends, ends or cancels a maintenance, and returns it as it is then.
func (m MaintenanceEditor) Change(ctx context.Context, c MaintenanceChange) (MaintenanceEntry, error) {
	e := m.editor
	e.mu.Lock()
	defer e.mu.Unlock()
	id, planned := maintenance.ParseID(c.ID)
	found, err := e.config.Maintenances.Get(ctx, id)
	if err != nil {
		return MaintenanceEntry{}, fmt.Errorf("maintenance %q: %w", c.ID, err)
	}
	event := ledger.MaintenanceEvent{ID: id, Action: c.Action}
	m.stamp(&event)
	if err := change(&event, found, planned, c); err != nil {
		return MaintenanceEntry{}, err
	}
	if c.Text != "" {
		if err := checkText(c.Text); err != nil {
			return MaintenanceEntry{}, errkind.In("text", err)
		}
		if event.Text, err = e.store(ctx, ledger.Text{Body: c.Text}); err != nil {
			return MaintenanceEntry{}, err
		}
	}
	if err := m.append(ctx, event); err != nil {
		return MaintenanceEntry{}, err
	}
	if found, err = e.config.Maintenances.Get(ctx, id); err != nil {
		return MaintenanceEntry{}, err
	}
	return newMaintenanceEntry(e.config.Catalog(), found, event.Wall()), nil
}

// List returns the maintenances that are not over, or were over since the time, the latest announced first.
func (m MaintenanceEditor) List(ctx context.Context, since time.Time, limit int) ([]MaintenanceEntry, error) {
	var event ledger.MaintenanceEvent
	m.stamp(&event)
	now := event.Wall()
	all, err := m.editor.config.Maintenances.List(ctx, since, now.AddDate(1, 0, 0), limit)
	out := make([]MaintenanceEntry, len(all))
	for i, one := range all {
		out[i] = newMaintenanceEntry(m.editor.config.Catalog(), one, now)
	}
	return out, err
}

// nextShown is how many further occurrences an entry lists.
const nextShown = 5

func newMaintenanceEntry(c *catalog.Catalog, m *maintenance.Maintenance, now time.Time) MaintenanceEntry {
	o := m.Present(now)
	out := MaintenanceEntry{
		ID: m.ID, Occurrence: o.ID, State: o.State, Title: m.Title(), Covers: []MaintenanceTarget{},
		Start: o.Start, End: o.End, Emergency: m.Emergency, Rule: m.Rule, Zone: m.Zone,
		Tags: m.Tags, Category: m.Category, Announced: m.Announced(), Updates: o.Updates,
	}
	if m.Rule != "" {
		for _, next := range m.Upcoming(now, nextShown+1) {
			if next.ID != o.ID && len(out.Next) < nextShown {
				out.Next = append(out.Next, next.Start)
			}
		}
	}
	for _, t := range m.Targets {
		named := MaintenanceTarget{Host: "(host removed)"}
		if h := c.HostByID(t.Host); h != nil {
			named.Host = h.Name
			if t.Check != "" {
				named.Check = "(check removed)"
				if check := h.CheckByID(t.Check); check != nil {
					named.Check = check.Name
				}
			}
		}
		out.Covers = append(out.Covers, named)
	}
	return out
}

// stamp gives the event the present time.
func (m MaintenanceEditor) stamp(event *ledger.MaintenanceEvent) {
	event.Event = newID()
	event.Mesh, event.Offset = m.editor.config.Clock()
	event.Mesh = event.Mesh.UTC()
}

func (m MaintenanceEditor) append(ctx context.Context, event ledger.MaintenanceEvent) error {
	if err := m.editor.config.Ledger.Append(ctx, event); err != nil {
		return err
	}
	if m.editor.config.MaintenanceChanged != nil {
		m.editor.config.MaintenanceChanged(ctx)
	}
	return nil
}
