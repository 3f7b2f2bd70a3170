package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// incidentFold applies events to the incidents.
type incidentFold struct{ *fold }

// book returns the incidents that a transition at the time may still change: the open ones and those that may reopen.
func (f incidentFold) book(ctx context.Context, now time.Time) (*incident.Book, error) {
	c, err := f.inForce(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := f.tx.QueryContext(ctx, `SELECT data FROM incidents WHERE resolved >= ? AND merged = ''
		ORDER BY opened, id`, max(1, nanoseconds(now.Add(-incident.ReopenWithin))))
	if err != nil {
		return nil, err
	}
	incidents, err := scanIncidents(rows)
	delay := c.IncidentsOr().Delay
	if delay == catalog.PublishByHand {
		delay = incident.ByHand
	}
	return incident.NewBook(incidents, delay).WithNeeds(needsOf(c)), err
}

// add opens, extends or resolves the incident that a transition belongs to.
func (f incidentFold) add(ctx context.Context, t mesh.Transition) error {
	book, err := f.book(ctx, t.Published)
	if err != nil {
		return err
	}
	changed := book.Apply(t)
	if changed == nil {
		return nil
	}
	for _, dependent := range book.Dependents(changed, t) {
		changed.Absorb(dependent, incident.Change{Mesh: t.Published})
		if err := f.continueIn(ctx, dependent, changed); err != nil {
			return err
		}
	}
	return f.store(ctx, changed)
}

// needsOf returns the ids of the hosts that a check needs in a catalog.
func needsOf(c *catalog.Catalog) incident.Needs {
	return func(host, check string) (ids []string) {
		if c == nil {
			return nil
		}
		h := c.HostByID(host)
		if h == nil {
			return nil
		}
		for _, key := range h.NeedsOf(h.CheckByID(check)) {
			if needed := c.Host(key); needed != nil {
				ids = append(ids, needed.Identity())
			}
		}
		return ids
	}
}

// followAudience ends the incidents of hosts that another audience sees now.
func (f incidentFold) followAudience(
	ctx context.Context, next *catalog.Catalog, at time.Time, offset time.Duration,
) error {
	book, err := f.book(ctx, at)
	if err != nil {
		return err
	}
	audience := func(i *incident.Incident, part *incident.Host) incident.Audience {
		h := next.HostByID(part.ID)
		if h == nil {
			return incident.Nobody
		}
		failing, internal, gone := failingChecks(h, part)
		if i.Internal {
			internal += gone // internal checks that are gone do not become public
		}
		switch {
		case h.Public && i.Internal && failing > 0 && gone == failing:
			return incident.Nobody
		case h.Public && (failing == 0 || internal < failing):
			return incident.Everybody
		}
		return incident.Operators
	}
	for _, i := range book.Follow(at, offset, audience) {
		if err := f.store(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// failingChecks counts what fails of a host's part in an incident, and how many of these checks are internal or gone.
func failingChecks(h *catalog.Host, part *incident.Host) (failing, internal, gone int) {
	for _, w := range part.Windows {
		if !w.To.IsZero() {
			continue
		}
		failing++
		switch c := h.CheckByID(w.CheckID); {
		case c == nil:
			gone++
		case c.Internal:
			internal++
		}
	}
	return failing, internal, gone
}

// apply applies what a person did to an incident. What does not fit the incident any more is left out: another
// event came in between.
func (f incidentFold) apply(ctx context.Context, r ledger.Record) error {
	var e ledger.IncidentEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	c := e.Change
	if e.Text != nil {
		c.TextID = e.Text.ID
	} else {
		c.Titled, c.Worded = false, false
	}
	i, err := f.byID(ctx, c.ID)
	switch {
	case err != nil:
		return err
	case i != nil && i.Merged != "":
		if i, err = f.byID(ctx, i.Merged); i == nil || err != nil {
			return err
		}
		c.ID = i.ID
	case i == nil && c.Action != incident.ActionOpen:
		return nil
	}
	if c.Action == incident.ActionMerge {
		return f.merge(ctx, i, c)
	}
	if i, err = f.change(ctx, i, c); err != nil {
		return err
	}
	if err := f.store(ctx, i); err != nil {
		return err
	}
	return f.storeTexts(ctx, i.ID, e)
}

// storeTexts stores the texts of what a person did, and erases those that it removes.
func (f incidentFold) storeTexts(ctx context.Context, id string, e ledger.IncidentEvent) error {
	added := e.Kept
	if e.Text != nil {
		added = append(slices.Clone(added), *e.Text)
	}
	for _, ref := range added {
		title, body, err := f.text(ctx, &ref)
		if err != nil {
			return err
		}
		if _, err = f.tx.ExecContext(ctx,
			`INSERT OR IGNORE INTO incident_texts (id, incident, title, body) VALUES (?, ?, ?, ?)`,
			ref.ID, id, title, body); err != nil {
			return err
		}
	}
	for _, erased := range e.Erased {
		if _, err := f.tx.ExecContext(ctx, `UPDATE incident_texts SET title = NULL, body = NULL WHERE id = ?`,
			erased.ID); err != nil {
			return err
		}
		if err := f.noteErased(ctx, erased.ID); err != nil {
			return err
		}
	}
	return nil
}

// change applies a change to an incident, or opens it if it is nil. An open incident that the mesh opened
// for the hosts that a person names is continued in the person's: both are one.
func (f incidentFold) change(
	ctx context.Context, i *incident.Incident, c incident.Change,
) (*incident.Incident, error) {
	hosts := c.Hosts
	if i != nil {
		for _, h := range i.Hosts {
			hosts = append(hosts, incident.Subject{ID: h.ID})
		}
	}
	inForce, err := f.inForce(ctx)
	if err != nil {
		return nil, err
	}
	if inForce == nil { // the log has lost the catalogs before
		inForce = &catalog.Catalog{}
	}
	c.Hidden = !slices.ContainsFunc(hosts, func(s incident.Subject) bool {
		h := inForce.HostByID(s.ID)
		return h != nil && h.Public
	})
	book, err := f.book(ctx, c.Mesh)
	if err != nil {
		return nil, err
	}
	if i == nil {
		i = incident.NewByPerson(c, c.Hidden)
	} else {
		i.Change(c)
	}
	if len(c.Hosts) == 0 {
		return i, nil
	}
	for _, measured := range book.NotTakenOver(c.Hosts, i.Internal) {
		if measured.ID == i.ID {
			continue
		}
		i.Absorb(measured, incident.Change{Mesh: c.Mesh})
		if err := f.continueIn(ctx, measured, i); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// merge continues an incident in another one.
func (f incidentFold) merge(ctx context.Context, from *incident.Incident, c incident.Change) error {
	into, err := f.byID(ctx, c.Into)
	if err == nil && into != nil && into.Merged != "" {
		into, err = f.byID(ctx, into.Merged)
	}
	if into == nil || err != nil || into.ID == from.ID || into.Internal != from.Internal {
		return err
	}
	into.Absorb(from, c)
	if err := f.continueIn(ctx, from, into); err != nil {
		return err
	}
	return f.store(ctx, into)
}

// continueIn leaves of an incident only where it is continued, for its links.
func (f incidentFold) continueIn(ctx context.Context, from, into *incident.Incident) error {
	rest := incident.Incident{
		ID: from.ID, Merged: into.ID, Internal: from.Internal, Public: from.Public, Opened: from.Opened, Began: from.Began,
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE incident_texts SET incident = ? WHERE incident = ?`,
		into.ID, from.ID); err != nil {
		return err
	}
	// Those that were merged before lead to the last one at once.
	if _, err := f.tx.ExecContext(ctx, `UPDATE incidents SET merged = ?,
		data = json_set(CAST(data AS TEXT), '$.merged', ?) WHERE merged = ?`, into.ID, into.ID, from.ID); err != nil {
		return err
	}
	return f.store(ctx, &rest)
}

func (f incidentFold) store(ctx context.Context, i *incident.Incident) error {
	f.archive.touch(archive.Incident, i.ID)
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	resolved, public := int64(math.MaxInt64), int64(math.MaxInt64) // an open one counts as resolved after everything
	switch {
	case i.Merged != "":
		resolved = 0
	case !i.Open():
		resolved = nanoseconds(i.Resolved)
	}
	if !i.Internal && !i.Public.IsZero() {
		public = nanoseconds(i.Public)
	}
	_, err = f.tx.ExecContext(ctx,
		`INSERT OR REPLACE INTO incidents (id, opened, resolved, public, merged, data) VALUES (?, ?, ?, ?, ?, ?)`,
		i.ID, nanoseconds(i.Opened), resolved, public, i.Merged, data)
	return err
}

func (f incidentFold) byID(ctx context.Context, id string) (*incident.Incident, error) {
	return incidentByID(ctx, f.tx, id)
}

// incidentByID returns the incident with the id, without texts; nil if there is none.
func incidentByID(ctx context.Context, from querier, id string) (*incident.Incident, error) {
	var data []byte
	switch err := from.QueryRowContext(ctx, `SELECT data FROM incidents WHERE id = ?`, id).Scan(&data); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	i := &incident.Incident{}
	return i, json.Unmarshal(data, i)
}

// scanIncidents reads the rows and closes them.
func scanIncidents(rows *sql.Rows) (out []*incident.Incident, err error) {
	defer rows.Close()
	for rows.Next() {
		var data []byte
		i := &incident.Incident{}
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, i); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// fillTexts reads what people wrote into the incidents.
func fillTexts(ctx context.Context, from querier, incidents []*incident.Incident) error {
	for _, i := range incidents {
		if !i.TakenOver() {
			continue
		}
		written, err := textsOf(ctx, from, i.ID)
		if err != nil {
			return err
		}
		fill := func(texts []incident.Text) {
			for n := range texts {
				t, ok := written[texts[n].ID]
				texts[n].Title, texts[n].Body, texts[n].Missing = t.Title, t.Body, !ok
			}
		}
		fill(i.Titles)
		for n := range i.Entries {
			fill(i.Entries[n].Texts)
		}
	}
	return nil
}

func textsOf(ctx context.Context, from querier, id string) (map[string]ledger.Text, error) {
	rows, err := from.QueryContext(ctx, `SELECT id, title, body FROM incident_texts WHERE incident = ?`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]ledger.Text{}
	for rows.Next() {
		var id string
		var title, body sql.NullString
		if err := rows.Scan(&id, &title, &body); err != nil {
			return nil, err
		}
		if title.Valid || body.Valid {
			out[id] = ledger.Text{Title: title.String, Body: body.String}
		}
	}
	return out, rows.Err()
}
