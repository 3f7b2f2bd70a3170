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

// TransitionsMax is how many transitions one answer holds at most.
const TransitionsMax = 10_000

// Transitions lists the newest transitions published since the time, oldest first, of a host's key or of all hosts (""): at
// most limit of them, and at most TransitionsMax.
func (l *Ledger) Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error) {
	query, args := `SELECT data FROM transitions WHERE published >= ?`, []any{nanoseconds(since)}
	if host != "" {
		query, args = query+` AND host = ?`, append(args, host)
	}
	query += ` ORDER BY published DESC, sequence DESC LIMIT ?`
	rows, err := l.view.db.QueryContext(ctx, query, append(args, max(0, min(limit, TransitionsMax)))...)
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
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	return out, nil
}

// Standings are the latest transition of every check: what was published last. A catalog after which the check is gone or asks
// something else ends what stands of it; left out is what had ended by the time.
func (l *Ledger) Standings(ctx context.Context, at time.Time) ([]mesh.Transition, error) {
	rows, err := l.view.db.QueryContext(ctx,
		`SELECT data FROM transitions WHERE sequence IN (SELECT sequence FROM standings WHERE until > ?) ORDER BY sequence`, nanoseconds(at))
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	return scan(rows)
}

// Judged tells how far the stream of observations was judged: the newest transition's sequence in it and its mesh
// time; zero without any.
func (l *Ledger) Judged(ctx context.Context) (sequence uint64, at time.Time, err error) {
	var published int64
	err = l.view.db.QueryRowContext(ctx, `SELECT judged, published FROM transitions ORDER BY sequence DESC LIMIT 1`).Scan(&sequence, &published)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, time.Time{}, nil
	case err != nil:
		return 0, time.Time{}, fmt.Errorf("read how far was judged: %w", err)
	}
	return sequence, time.Unix(0, published).UTC(), nil
}

// ErrNoCatalog says that no such catalog was ever in force.
var ErrNoCatalog = errors.New("no such catalog was ever in force")

// Catalog is the catalog in force: the one that came last.
func (l *Ledger) Catalog(ctx context.Context) (CatalogEvent, error) {
	return l.catalog(ctx, `SELECT data FROM catalogs ORDER BY sequence DESC LIMIT 1`)
}

// CatalogAt is the catalog that was in force at a time; the first one for a time before it.
func (l *Ledger) CatalogAt(ctx context.Context, at time.Time) (CatalogEvent, error) {
	return l.catalog(ctx, `SELECT data FROM catalogs ORDER BY at <= ? DESC, CASE WHEN at <= ? THEN -sequence ELSE sequence END LIMIT 1`, nanoseconds(at), nanoseconds(at))
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
