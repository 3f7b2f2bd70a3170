package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Maintenances lists the maintenances that may touch a period of wall time.
func (v *View) Maintenances(ctx context.Context, from, to time.Time) ([]*maintenance.Maintenance, error) {
	all, err := v.source.Maintenances(ctx, from, to)
	if err != nil {
		return nil, err
	}
	var out []*maintenance.Maintenance
	for _, m := range all {
		if part := v.maintenance(m); part != nil {
			out = append(out, part)
		}
	}
	return out, nil
}

// Maintenance returns the maintenance with the id, or nil if there is none.
func (v *View) Maintenance(ctx context.Context, id string) (*maintenance.Maintenance, error) {
	m, err := v.source.Maintenance(ctx, id)
	if errkind.Of(err) == errkind.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v.maintenance(m), nil
}

// maintenance returns what the audience may see of a maintenance: what it covers of hosts that are in the catalog and
// public now; nil if that is nothing.
func (v *View) maintenance(m *maintenance.Maintenance) *maintenance.Maintenance {
	c, _ := v.source.Current()
	return m.Only(func(t maintenance.Target) bool {
		h := c.HostByID(t.Host)
		if h == nil || !h.Public && v.audience == Public {
			return false
		}
		check := h.CheckByID(t.Check)
		return t.Check == "" || check != nil && (v.audience == Operators || h.Shows(check))
	})
}

// CoveredName is what a maintenance covers, as the catalog names it now.
type CoveredName struct{ Host, Check string }

// String returns "NC036" or "NC036 SMTP".
func (n CoveredName) String() string { return strings.TrimSpace(n.Host + " " + n.Check) }

// Covered names what a maintenance covers.
func (s State) Covered(m *maintenance.Maintenance) (out []CoveredName) {
	for _, t := range m.Targets {
		h := s.Catalog.HostByID(t.Host)
		if h == nil {
			continue
		}
		name := CoveredName{Host: h.Name}
		if t.Check != "" {
			check := h.CheckByID(t.Check)
			if check == nil {
				continue
			}
			name.Check = check.Name
		}
		out = append(out, name)
	}
	return out
}

// Occurrence is one occurrence of a maintenance.
type Occurrence struct {
	Of *maintenance.Maintenance
	maintenance.Occurrence
}

// Bounds of the occurrences of maintenances that recur, in lists of all maintenances.
const (
	nextOfEach = 5
	pastDays   = 30
	// PastMaintenanceDays is how far back lists of maintenances reach.
	PastMaintenanceDays = 90
)

// Occurrences are those of several maintenances: in progress, the first to end first; upcoming, the next first; and
// past or cancelled, the latest first.
type Occurrences struct{ Active, Upcoming, Past []Occurrence }

// OccurrencesOf sorts the occurrences of maintenances by what they are at a time.
func OccurrencesOf(all []*maintenance.Maintenance, now time.Time) (out Occurrences) {
	for _, m := range all {
		found := []maintenance.Occurrence{m.Present(now)}
		if m.Rule != "" {
			found = append(m.Occurrences(now.AddDate(0, 0, -pastDays), now.Add(1), now), m.Upcoming(now, nextOfEach)...)
			if len(found) == 0 { // all were cancelled
				found = append(found, m.Present(now))
			}
		}
		for _, o := range found {
			switch {
			case o.State.Active():
				out.Active = append(out.Active, Occurrence{m, o})
			case o.State == maintenance.Scheduled:
				out.Upcoming = append(out.Upcoming, Occurrence{m, o})
			default:
				out.Past = append(out.Past, Occurrence{m, o})
			}
		}
	}
	order := func(key func(Occurrence) time.Time) func(a, b Occurrence) int {
		return func(a, b Occurrence) int { return cmp.Or(key(a).Compare(key(b)), cmp.Compare(a.ID, b.ID)) }
	}
	slices.SortFunc(out.Active, order(func(o Occurrence) time.Time { return o.End }))
	slices.SortFunc(out.Upcoming, order(func(o Occurrence) time.Time { return o.Start }))
	slices.SortFunc(out.Past, order(func(o Occurrence) time.Time { return o.End }))
	slices.Reverse(out.Past)
	return out
}

// Wall returns the wall time of the state; now before anything was judged.
func (s State) Wall() time.Time {
	if s.Snapshot.At.IsZero() {
		return time.Now().UTC()
	}
	return s.Snapshot.At.UTC()
}

// UpdatePlain returns the text of an update without markup: what a person wrote, after the sentence where that says
// more.
func UpdatePlain(u maintenance.Update) string {
	sentence, text := u.Sentence(), strings.TrimSpace(markdown.Plain(u.Text.Body))
	switch {
	case u.Text.Erased && text == "":
		return sentence + " " + maintenance.TextRemoved
	case text == "":
		return sentence
	case u.Action == maintenance.Extend, u.Action == maintenance.Cancel:
		return sentence + " " + text
	}
	return text
}

// MaintenanceLook returns how an occurrence appears.
func MaintenanceLook(s maintenance.State) Look {
	switch s {
	case maintenance.Scheduled:
		return newLook(classUnknown, "Scheduled")
	case maintenance.InProgress:
		return StatusLook(mesh.UnderMaintenance)
	case maintenance.Verifying:
		look := StatusLook(mesh.UnderMaintenance)
		look.Word = "Verifying"
		return look
	case maintenance.Completed:
		return newLook(classUp, "Completed")
	}
	return newLook(classUnknown, "Cancelled")
}

// MaintenanceOf returns the occurrence with an id, of a maintenance or of one occurrence, at a time; nil if there is
// none.
func (v *View) MaintenanceOf(ctx context.Context, id string, now time.Time) (*Occurrence, error) {
	of, planned := maintenance.ParseID(id)
	m, err := v.Maintenance(ctx, of)
	if err != nil || m == nil {
		return nil, err
	}
	if planned.IsZero() {
		return &Occurrence{m, m.Present(now)}, nil
	}
	o, ok := m.Occurrence(planned, now)
	if !ok || m.Rule == "" {
		return nil, nil
	}
	return &Occurrence{m, o}, nil
}
