package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func (w *writing) transition(ctx context.Context, r Record) error {
	var t mesh.Transition
	if err := json.Unmarshal(r.Data, &t); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO transitions (sequence, id, judged, host, check_, published, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		r.Sequence, t.ID, t.Sequence, mesh.Key(t.Host), t.Check, t.Published.UnixNano(), r.Data)
	return err
}

func (w *writing) catalog(ctx context.Context, r Record) error {
	var e CatalogEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	if e.Catalog == nil {
		return errors.New("no catalog in it")
	}
	_, err := w.tx.ExecContext(ctx, `INSERT OR IGNORE INTO catalogs (sequence, revision, at, data) VALUES (?, ?, ?, ?)`,
		r.Sequence, e.Catalog.Revision, nanoseconds(r.Time), r.Data)
	return err
}

func (w *writing) agent(ctx context.Context, r Record) error {
	var e AgentEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(ctx, `INSERT OR REPLACE INTO agents (host, public_key, at) VALUES (?, ?, ?)`, e.Host, e.PublicKey, nanoseconds(r.Time))
	return err
}

// Transitions lists the newest transitions published since the time, oldest first, of a host's key or of all hosts ("").
func (l *Ledger) Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error) {
	rows, err := l.view.db.QueryContext(ctx,
		`SELECT data FROM transitions WHERE (? = '' OR host = ?) AND published >= ? ORDER BY sequence DESC LIMIT ?`,
		host, host, nanoseconds(since), limit)
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	out, err := scan(rows)
	slices.Reverse(out)
	return out, err
}

// scan reads transitions and closes the rows.
func scan(rows *sql.Rows) ([]mesh.Transition, error) {
	defer rows.Close()
	var out []mesh.Transition
	for rows.Next() {
		var data []byte
		var t mesh.Transition
		if err := rows.Scan(&data); err != nil {
			return nil, fmt.Errorf("read transitions: %w", err)
		}
		if err := json.Unmarshal(data, &t); err != nil {
			return nil, fmt.Errorf("read transitions: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// Standings are the latest transition of every check: what was published last.
func (l *Ledger) Standings(ctx context.Context) ([]mesh.Transition, error) {
	rows, err := l.view.db.QueryContext(ctx,
		`SELECT data FROM transitions WHERE sequence IN (SELECT max(sequence) FROM transitions WHERE check_ <> '' GROUP BY host, check_) ORDER BY sequence`)
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	return scan(rows)
}

// Judged is the highest sequence of the stream of observations at which a transition was decided; 0 without any.
func (l *Ledger) Judged(ctx context.Context) (sequence uint64, err error) {
	if err = l.view.db.QueryRowContext(ctx, `SELECT coalesce(max(judged), 0) FROM transitions`).Scan(&sequence); err != nil {
		err = fmt.Errorf("read how far was judged: %w", err)
	}
	return sequence, err
}

// ErrNoCatalog says that no such catalog was ever in force.
var ErrNoCatalog = errors.New("no such catalog was ever in force")

// Catalog is the catalog in force: the one that came last.
func (l *Ledger) Catalog(ctx context.Context) (CatalogEvent, error) {
	return l.catalog(ctx, `SELECT data FROM catalogs ORDER BY sequence DESC LIMIT 1`)
}

// CatalogAt is the catalog that was in force at a time.
func (l *Ledger) CatalogAt(ctx context.Context, at time.Time) (CatalogEvent, error) {
	return l.catalog(ctx, `SELECT data FROM catalogs WHERE at <= ? ORDER BY sequence DESC LIMIT 1`, at.UnixNano())
}

// CatalogOf is the catalog with a revision.
func (l *Ledger) CatalogOf(ctx context.Context, revision string) (*catalog.Catalog, error) {
	e, err := l.catalog(ctx, `SELECT data FROM catalogs WHERE revision = ? LIMIT 1`, revision)
	return e.Catalog, err
}

func (l *Ledger) catalog(ctx context.Context, query string, args ...any) (e CatalogEvent, err error) {
	var data []byte
	switch err = l.view.db.QueryRowContext(ctx, query, args...).Scan(&data); {
	case errors.Is(err, sql.ErrNoRows):
		return e, ErrNoCatalog
	case err == nil:
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		err = fmt.Errorf("read the catalog: %w", err)
	}
	return e, err
}

// Roster is who is enrolled.
func (l *Ledger) Roster(ctx context.Context) (*mesh.Roster, error) {
	rows, err := l.view.db.QueryContext(ctx, `SELECT host FROM agents ORDER BY host`)
	if err != nil {
		return nil, fmt.Errorf("read the roster: %w", err)
	}
	defer rows.Close()
	r := &mesh.Roster{}
	for rows.Next() {
		var host string
		if err := rows.Scan(&host); err != nil {
			return nil, fmt.Errorf("read the roster: %w", err)
		}
		r.Vantages = append(r.Vantages, host)
	}
	return r, rows.Err()
}
