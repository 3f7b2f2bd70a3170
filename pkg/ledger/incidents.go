package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// book is the incidents that may still change, as the view has them.
func (w *writing) book(ctx context.Context, now time.Time) (*incident.Book, error) {
	rows, err := w.tx.QueryContext(ctx, `SELECT data FROM incidents WHERE resolved >= ? ORDER BY opened, id`, nanoseconds(now.Add(-incident.ReopenWithin)))
	if err != nil {
		return nil, err
	}
	incidents, err := scanIncidents(rows)
	return incident.NewBook(incidents), err
}

// extend has the book of incidents take a transition.
func (w *writing) extend(ctx context.Context, t mesh.Transition) error {
	if !t.Public {
		return nil
	}
	book, err := w.book(ctx, t.Published)
	if err != nil {
		return err
	}
	if changed := book.Take(t); changed != nil {
		return w.keepIncident(ctx, changed)
	}
	return nil
}

// endIncidents ends what is told of hosts that the next catalog does not show.
func (w *writing) endIncidents(ctx context.Context, next *catalog.Catalog, at time.Time, offset time.Duration) error {
	book, err := w.book(ctx, at)
	if err != nil {
		return err
	}
	for _, i := range book.Keep(at, offset, func(host string) bool {
		h := next.Host(mesh.Key(host))
		return h != nil && h.Public
	}) {
		if err := w.keepIncident(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) keepIncident(ctx context.Context, i *incident.Incident) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	resolved := int64(math.MaxInt64) // open
	if !i.Open() {
		resolved = nanoseconds(i.Resolved)
	}
	_, err = w.tx.ExecContext(ctx, `INSERT OR REPLACE INTO incidents (id, opened, resolved, data) VALUES (?, ?, ?, ?)`, i.ID, nanoseconds(i.Opened), resolved, data)
	return err
}

// scanIncidents reads incidents and closes the rows.
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

// IncidentsMax is how many incidents one answer holds at most.
const IncidentsMax = 500

// Incidents lists the incidents that were not resolved before the time, newest first: at most limit, and at most IncidentsMax.
func (l *Ledger) Incidents(ctx context.Context, since time.Time, limit int) ([]*incident.Incident, error) {
	rows, err := l.view.db.QueryContext(ctx, `SELECT data FROM incidents WHERE resolved >= ? ORDER BY opened DESC, id LIMIT ?`,
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

// Incident is the one with this id; nil when there is none.
func (l *Ledger) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	var data []byte
	switch err := l.view.db.QueryRowContext(ctx, `SELECT data FROM incidents WHERE id = ?`, id).Scan(&data); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the incident: %w", err)
	}
	i := &incident.Incident{}
	if err := json.Unmarshal(data, i); err != nil {
		return nil, fmt.Errorf("read the incident: %w", err)
	}
	return i, nil
}
