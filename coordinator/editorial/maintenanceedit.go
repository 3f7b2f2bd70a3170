package editorial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// MaintenanceEdit is what changes in a maintenance; nil and zero stay as it is. The texts before stay readable.
type MaintenanceEdit struct {
	ID       string    `json:"id"`               // of a maintenance, or of one occurrence, whose times change
	Update   string    `json:"update,omitempty"` // whose text is corrected; "": the announcement
	Title    *string   `json:"title,omitempty"`
	Text     *string   `json:"text,omitempty"` // Markdown
	Tags     *[]string `json:"tags,omitempty"`
	Category *string   `json:"category,omitempty"`
	Start    time.Time `json:"start,omitzero"` // only before it has begun
	End      time.Time `json:"end,omitzero"`
	// Erase removes what is replaced for good. Without a text in its place the update says so.
	Erase   bool `json:"erase,omitempty"`
	Preview bool `json:"preview,omitempty"`
}

// MaintenanceEdited is the outcome of an edit.
type MaintenanceEdited struct {
	Entry   MaintenanceEntry `json:"entry"`
	Removal *Removal         `json:"removal,omitempty"` // of texts that were erased; nil if none was
}

// Edit corrects a maintenance: what people wrote of it, its tags, and its times as far as they are to come.
func (m MaintenanceEditor) Edit(ctx context.Context, f MaintenanceEdit) (MaintenanceEdited, error) {
	e := m.editor
	e.mu.Lock()
	defer e.mu.Unlock()
	id, planned := maintenance.ParseID(f.ID)
	found, err := e.config.Maintenances.Get(ctx, id)
	if err != nil {
		return MaintenanceEdited{}, fmt.Errorf("maintenance %q: %w", f.ID, err)
	}
	event := ledger.MaintenanceEvent{ID: id, Action: maintenance.Edit, Of: f.Update}
	m.stamp(&event)
	text, err := editEvent(&event, found, planned, f)
	if err != nil {
		return MaintenanceEdited{}, err
	}
	now := event.Wall()
	if f.Preview {
		return MaintenanceEdited{Entry: newMaintenanceEntry(e.config.Catalog(), edited(found, event, text), now)}, nil
	}
	if text != nil {
		if event.Text, err = e.store(ctx, *text); err != nil {
			return MaintenanceEdited{}, err
		}
	}
	if err := m.append(ctx, event); err != nil {
		return MaintenanceEdited{}, err
	}
	var out MaintenanceEdited
	if len(event.Erased) > 0 {
		texts := make([]string, len(event.Erased))
		for n, one := range event.Erased {
			texts[n] = one.ID
		}
		removal := e.eraseNow(ctx, "maintenance", id, texts)
		out.Removal = &removal
	}
	if found, err = e.config.Maintenances.Get(ctx, id); err != nil {
		return out, err
	}
	out.Entry = newMaintenanceEntry(e.config.Catalog(), found, now)
	return out, nil
}

// edited returns the maintenance as an edit would leave it.
func edited(m *maintenance.Maintenance, event ledger.MaintenanceEvent, text *ledger.Text) *maintenance.Maintenance {
	out := *m
	out.Changes = slices.Clone(m.Changes)
	edits := maintenance.Edits{Of: event.Of, Erase: len(event.Erased) > 0, Tags: event.Tags, Category: event.Category}
	if text != nil {
		edits.Text = maintenance.Text{Title: text.Title, Body: text.Body}
	}
	out.Edit(maintenance.Change{
		ID: event.Event, Action: event.Action, At: event.Wall(), Occurrence: event.Occurrence, From: event.From,
		Until: event.Until,
	}, edits)
	return &out
}

// editEvent validates an edit, writes it into the event, and returns the text that it stores; nil if it has none.
func editEvent(
	event *ledger.MaintenanceEvent, m *maintenance.Maintenance, planned time.Time, f MaintenanceEdit,
) (text *ledger.Text, err error) {
	moves := !f.Start.IsZero() || !f.End.IsZero()
	switch {
	case f.Title == nil && f.Text == nil && f.Tags == nil && f.Category == nil && !moves && !f.Erase:
		return nil, invalid("nothing changes: give a title, a text, tags, a category, a start or an end")
	case len(m.Changes) >= maintenance.ChangesMax && !f.Erase:
		return nil, conflict("maintenance %s was changed %d times, which is the most: plan a new one", m.ID, len(m.Changes))
	}
	if event.Tags, event.Category, err = checkLabels(or(f.Tags, m.Tags), or(f.Category, m.Category)); err != nil {
		return nil, err
	}
	if moves {
		if err := move(event, m, planned, f); err != nil {
			return nil, err
		}
	}
	if f.Title == nil && f.Text == nil && !f.Erase {
		event.Of = ""
		return nil, nil
	}
	return reword(event, m, f)
}

// reword writes into the event which text an edit replaces, and returns what stands in its place.
func reword(event *ledger.MaintenanceEvent, m *maintenance.Maintenance, f MaintenanceEdit) (*ledger.Text, error) {
	n, err := changeOf(m, f.Update)
	if err != nil {
		return nil, err
	}
	if err := checkErased(m, f); err != nil {
		return nil, err
	}
	of := m.Changes[n]
	event.Of = of.ID
	text := &ledger.Text{Title: or(f.Title, of.Text.Title), Body: of.Text.Body}
	switch {
	case f.Text != nil:
		text.Body = *f.Text
	case f.Erase && f.Title == nil:
		text.Body = ""
	}
	if of.Action != maintenance.Plan && f.Title != nil {
		return nil, errkind.In("title", invalid("title: only the announcement has one: leave out the update"))
	}
	if of.Action == maintenance.Plan {
		if text.Title == "" {
			return nil, errkind.In("title", invalid("title: the title is lost: give a new one, too"))
		}
		if err := checkTitle(text.Title); err != nil {
			return nil, errkind.In("title", err)
		}
	}
	if text.Body != "" || f.Text != nil {
		if err := checkText(text.Body); err != nil {
			return nil, errkind.In("text", err)
		}
	}
	if !f.Erase {
		return text, nil
	}
	for _, id := range of.Texts() {
		event.Erased = append(event.Erased, ledger.Erased{ID: id})
	}
	if len(event.Erased) == 0 || of.Text.Erased && of.Text.Body == "" && f.Title == nil && f.Text == nil {
		return nil, conflict("update %s of maintenance %s has no text that can be erased", of.ID, m.ID)
	}
	return text, nil
}

// checkErased has what erases name its update if several have a text: an erasure cannot be taken back. Only the
// announcement has a title.
func checkErased(m *maintenance.Maintenance, f MaintenanceEdit) error {
	if !f.Erase || f.Update != "" || f.Title != nil {
		return nil
	}
	var listed []string
	for _, c := range m.Changes {
		if len(c.Texts()) > 0 {
			listed = append(listed, fmt.Sprintf("%s (%s of %s)", c.ID, c.Action, clock(c.At)))
		}
	}
	if len(listed) <= 1 {
		return nil
	}
	return errkind.In("update", invalid("maintenance %s has %d texts: name the one to erase, with --update: %s", m.ID,
		len(listed), strings.Join(listed, ", ")))
}

// changeOf finds a change by the id of its update; that of the announcement for "".
func changeOf(m *maintenance.Maintenance, update string) (int, error) {
	var ids []string
	for n, c := range m.Changes {
		if update == "" && c.Action == maintenance.Plan || update != "" && c.ID == update {
			return n, nil
		}
		if c.Text.Body != "" {
			ids = append(ids, c.ID)
		}
	}
	return 0, errkind.In("update", errkind.New(errkind.NotFound, fmt.Sprintf(
		"maintenance %s has no update %q: those with a text are %s", m.ID, update, strings.Join(ids, ", "))))
}

// move writes into the event the times that an edit gives an occurrence. What is in the past stays.
func move(event *ledger.MaintenanceEvent, m *maintenance.Maintenance, planned time.Time, f MaintenanceEdit) error {
	now := event.Wall()
	o := m.Present(now)
	switch {
	case !planned.IsZero():
		var ok bool
		if o, ok = m.Occurrence(planned, now); !ok || m.Rule == "" {
			return fmt.Errorf("maintenance %q: %w", f.ID, ledger.ErrNoMaintenance)
		}
	case m.Rule != "":
		return errkind.In("start", conflict("maintenance %s recurs: move one occurrence, as %s, or cancel it and plan "+
			"another rule", m.ID, o.ID))
	}
	c := MaintenanceChange{ID: f.ID}
	switch {
	case o.State != maintenance.Scheduled && !o.State.Active():
		return wrongState(c, o, "only what is not over can be moved")
	case o.State.Active() && !f.Start.IsZero():
		return errkind.In("start", wrongState(c, o, "what has begun has its start"))
	case !f.Start.IsZero() && !f.Start.After(now):
		return errkind.In("start", invalid("start: %s is not in the future: `start` begins it now", when(f.Start)))
	case f.Start.After(now.AddDate(maintenance.AheadYears, 0, 0)):
		return errkind.In("start", invalid("start: %s is more than %d years ahead", when(f.Start), maintenance.AheadYears))
	}
	event.Occurrence = o.Planned
	start := o.Start
	if !f.Start.IsZero() {
		event.From = f.Start.UTC().Truncate(time.Second)
		start = event.From
		event.Until = start.Add(o.Until.Sub(o.Start)) // it lasts as long as before, unless the end says otherwise
	}
	if !f.End.IsZero() {
		event.Until = f.End.UTC().Truncate(time.Second)
	}
	if !event.Until.After(start) {
		return errkind.In("end", invalid("end: %s is not after the start, %s", when(event.Until), when(start)))
	}
	return errkind.In("end", checkEnd(event.Until, start, now, m, o))
}
