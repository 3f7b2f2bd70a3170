package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// book returns the incidents that a transition at the time may still change: the open ones and those that may reopen.
func (f *fold) book(ctx context.Context, now time.Time) (*incident.Book, error) {
	rows, err := f.tx.QueryContext(ctx, `SELECT data FROM incidents WHERE resolved >= ? ORDER BY opened, id`,
		nanoseconds(now.Add(-incident.ReopenWithin)))
	if err != nil {
		return nil, err
	}
	incidents, err := scanIncidents(rows)
	return incident.NewBook(incidents), err
}

// addToIncidents opens, extends or resolves the incident that a public host's transition belongs to.
func (f *fold) addToIncidents(ctx context.Context, t mesh.Transition) error {
	if !t.Public {
		return nil
	}
	book, err := f.book(ctx, t.Published)
	if err != nil {
		return err
	}
	if changed := book.Apply(t); changed != nil {
		return f.storeIncident(ctx, changed)
	}
	return nil
}

// closeHidden closes incidents of hosts that are no longer public.
func (f *fold) closeHidden(ctx context.Context, next *catalog.Catalog, at time.Time, offset time.Duration) error {
	book, err := f.book(ctx, at)
	if err != nil {
		return err
	}
	public := func(part *incident.Host) bool {
		h := next.HostByID(part.ID)
		return h != nil && h.Public
	}
	for _, i := range book.CloseHidden(at, offset, public) {
		if err := f.storeIncident(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) storeIncident(ctx context.Context, i *incident.Incident) error {
	f.archive.touch(archive.Incident, i.ID)
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	resolved := int64(math.MaxInt64) // an open incident counts as resolved after everything
	if !i.Open() {
		resolved = nanoseconds(i.Resolved)
	}
	_, err = f.tx.ExecContext(ctx, `INSERT OR REPLACE INTO incidents (id, opened, resolved, data) VALUES (?, ?, ?, ?)`,
		i.ID, nanoseconds(i.Opened), resolved, data)
	return err
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

// IncidentsMax bounds the incidents of one answer.
const IncidentsMax = 500

// Incidents returns the incidents that are open or were resolved since the mesh time, newest first: at most limit,
// and at most IncidentsMax.
func (v *View) Incidents(ctx context.Context, since time.Time, limit int) ([]*incident.Incident, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT data FROM incidents WHERE resolved >= ? ORDER BY opened DESC, id LIMIT ?`,
		nanoseconds(since), max(0, min(limit, IncidentsMax)))
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	out, err := scanIncidents(rows)
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	return out, nil
}

// PublicIncidents is Incidents for the public: those with at least one of the hosts with these keys, which are those
// that are public now. The limit counts none of the others, and no incident has a part of another host.
func (v *View) PublicIncidents(
	ctx context.Context, hosts []string, since time.Time, limit int,
) ([]*incident.Incident, error) {
	keys, err := json.Marshal(append([]string{}, hosts...))
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	rows, err := v.db.QueryContext(ctx, `SELECT data FROM incidents WHERE resolved >= ? AND EXISTS (
			SELECT 1 FROM json_each(CAST(data AS TEXT), '$.hosts') AS part
			WHERE lower(json_extract(part.value, '$.name')) IN (SELECT value FROM json_each(?)))
		ORDER BY opened DESC, id LIMIT ?`, nanoseconds(since), string(keys), max(0, min(limit, IncidentsMax)))
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	all, err := scanIncidents(rows)
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	var out []*incident.Incident
	for _, i := range all {
		if part := i.Only(hosts); part != nil {
			out = append(out, part)
		}
	}
	return out, nil
}

// Incident returns the incident with the id; nil if there is none.
func (v *View) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	return incidentByID(ctx, v.db, id)
}

func incidentByID(ctx context.Context, db querier, id string) (*incident.Incident, error) {
	var data []byte
	switch err := db.QueryRowContext(ctx, `SELECT data FROM incidents WHERE id = ?`, id).Scan(&data); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read an incident: %w", err)
	}
	i := &incident.Incident{}
	if err := json.Unmarshal(data, i); err != nil {
		return nil, fmt.Errorf("read an incident: %w", err)
	}
	return i, nil
}
