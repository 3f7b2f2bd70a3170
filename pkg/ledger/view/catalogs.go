package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// ErrNoCatalog means that the ledger has no such catalog.
var ErrNoCatalog = errors.New("no such catalog was ever in force")

const newestCatalog = `SELECT data FROM catalogs ORDER BY sequence DESC LIMIT 1`

// Catalog returns the newest catalog, or ErrNoCatalog.
func (v *View) Catalog(ctx context.Context) (ledger.CatalogEvent, error) {
	return scanCatalog(v.db.QueryRowContext(ctx, newestCatalog))
}

// CatalogAt returns the catalog that was in force at the mesh time. A time before the first catalog gets the first.
func (v *View) CatalogAt(ctx context.Context, at time.Time) (ledger.CatalogEvent, error) {
	return scanCatalog(v.db.QueryRowContext(ctx, `SELECT data FROM catalogs
		ORDER BY at <= ? DESC, CASE WHEN at <= ? THEN -sequence ELSE sequence END LIMIT 1`, nanoseconds(at), nanoseconds(at)))
}

// CatalogOf returns the catalog with the revision, or ErrNoCatalog.
func (v *View) CatalogOf(ctx context.Context, revision string) (*catalog.Catalog, error) {
	e, err := scanCatalog(v.db.QueryRowContext(ctx, `SELECT data FROM catalogs WHERE revision = ? LIMIT 1`, revision))
	return e.Catalog, err
}

func scanCatalog(row *sql.Row) (e ledger.CatalogEvent, err error) {
	var data []byte
	switch err = row.Scan(&data); {
	case errors.Is(err, sql.ErrNoRows):
		return e, ErrNoCatalog
	case err == nil:
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		err = fmt.Errorf("read a catalog: %w", err)
	}
	return e, err
}

// catalogsMax bounds how many catalogs are read back in time. A catalog of a thousand hosts is a megabyte of JSON.
const catalogsMax = 500

// errStop ends a walk over catalogs.
var errStop = errors.New("stop")

// LastChange returns the newest catalog, by the mesh time, that changed something of the host, with those changes;
// false if there is none.
func (v *View) LastChange(ctx context.Context, host string, at time.Time) (last ledger.Change, found bool, err error) {
	err = v.changesBefore(ctx, at, catalogsMax, func(c ledger.Change) error {
		all := c.Changes
		c.Changes = nil
		for _, one := range all {
			if mesh.Key(one.Host) == host {
				c.Changes = append(c.Changes, one)
			}
		}
		if len(c.Changes) == 0 {
			return nil
		}
		last, found = c, true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return last, found, err
}

// CatalogsSince returns the catalogs that were in force at some moment since the time of the wall clock, newest first.
func (v *View) CatalogsSince(ctx context.Context, since time.Time) (out []*catalog.Catalog, err error) {
	err = v.catalogsBefore(ctx, time.Now(), func(c ledger.Change, in *catalog.Catalog) error {
		out = append(out, in)
		if !c.At.After(since) {
			return errStop // it was in force when the time began; those before it were not
		}
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return out, err
}

// CatalogsBefore returns at most n catalogs that came into force by the mesh time, the newest last.
func CatalogsBefore(ctx context.Context, v *View, at time.Time, n int) (out []*catalog.Catalog, err error) {
	err = v.catalogsBefore(ctx, at, func(_ ledger.Change, in *catalog.Catalog) error {
		if out = append(out, in); len(out) >= n {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	slices.Reverse(out)
	return out, err
}

// CatalogChanges returns the newest n catalogs that came into force, the newest first, each with what it changed.
func CatalogChanges(ctx context.Context, v *View, n int) (out []ledger.Change, err error) {
	err = v.changesBefore(ctx, time.Unix(0, math.MaxInt64), n, func(c ledger.Change) error {
		out = append(out, c)
		return nil
	})
	return out, err
}

// changesMax bounds the changes that are remembered: twice those that one walk over catalogs needs.
const changesMax = 2 * catalogsMax

// changes are what catalogs changed, by their sequence and that of the catalog before: neither ever becomes another.
// To read two catalogs of a thousand hosts takes some fifty milliseconds, so that each pair is compared once.
type changes struct {
	mu    sync.Mutex
	known map[[2]uint64]ledger.Change
}

// changesBefore calls fn with what the newest n catalogs by the mesh time changed, the newest first.
func (v *View) changesBefore(ctx context.Context, at time.Time, n int, fn func(ledger.Change) error) error {
	r := &catalogReader{view: v}
	sequences, err := r.sequences(ctx, at, n+1)
	if err != nil {
		return err
	}
	for i, sequence := range sequences[:min(n, len(sequences))] {
		pair := [2]uint64{sequence, 0} // the first catalog added everything
		if i+1 < len(sequences) {
			pair[1] = sequences[i+1]
		}
		c, known := v.changes.get(pair)
		if !known {
			if c, err = r.compare(ctx, pair); err != nil {
				return err
			}
			v.changes.put(pair, c)
		}
		c.Changes = slices.Clone(c.Changes)
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

func (c *changes) get(pair [2]uint64) (one ledger.Change, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, known = c.known[pair]
	return one, known
}

func (c *changes) put(pair [2]uint64, one ledger.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= changesMax {
		c.known = map[[2]uint64]ledger.Change{}
	}
	c.known[pair] = one
}

// catalogReader reads catalogs, and remembers the last one: the catalog before one is compared next.
type catalogReader struct {
	view     *View
	sequence uint64
	when     int64
	event    ledger.CatalogEvent
}

// sequences returns the sequences of the newest catalogs by the mesh time, the newest first.
func (r *catalogReader) sequences(ctx context.Context, at time.Time, n int) (out []uint64, err error) {
	rows, err := r.view.db.QueryContext(ctx, `SELECT sequence FROM catalogs WHERE at <= ? ORDER BY sequence DESC LIMIT ?`,
		nanoseconds(at), n)
	if err != nil {
		return nil, fmt.Errorf("read catalogs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var sequence uint64
		if err := rows.Scan(&sequence); err != nil {
			return nil, fmt.Errorf("read catalogs: %w", err)
		}
		out = append(out, sequence)
	}
	return out, rows.Err()
}

func (r *catalogReader) read(ctx context.Context, sequence uint64) error {
	if r.sequence == sequence {
		return nil
	}
	r.sequence, r.event = 0, ledger.CatalogEvent{}
	if sequence == 0 {
		return nil
	}
	var data []byte
	row := r.view.db.QueryRowContext(ctx, `SELECT at, data FROM catalogs WHERE sequence = ?`, sequence)
	err := row.Scan(&r.when, &data)
	if err == nil {
		err = json.Unmarshal(data, &r.event)
	}
	if err != nil {
		return fmt.Errorf("read a catalog: %w", err)
	}
	r.sequence = sequence
	return nil
}

// compare returns what the first catalog changed of the second; 0: there was none.
func (r *catalogReader) compare(ctx context.Context, pair [2]uint64) (c ledger.Change, err error) {
	if err := r.read(ctx, pair[0]); err != nil {
		return c, err
	}
	is := r.event
	c = ledger.Change{
		At: time.Unix(0, r.when).Add(-is.Offset).UTC(), Revision: is.Catalog.Revision, Source: is.Source,
	}
	if err := r.read(ctx, pair[1]); err != nil {
		return c, err
	}
	c.Changes = catalog.Compare(r.event.Catalog, is.Catalog)
	return c, nil
}

// catalogsBefore calls fn with the catalogs that came into force by the mesh time, newest first, without what they
// changed.
func (v *View) catalogsBefore(ctx context.Context, at time.Time, fn func(ledger.Change, *catalog.Catalog) error) error {
	rows, err := v.db.QueryContext(ctx, `SELECT at, data FROM catalogs WHERE at <= ? ORDER BY sequence DESC LIMIT ?`,
		nanoseconds(at), catalogsMax)
	if err != nil {
		return fmt.Errorf("read catalogs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var when int64
		var data []byte
		var e ledger.CatalogEvent
		if err := rows.Scan(&when, &data); err != nil {
			return fmt.Errorf("read catalogs: %w", err)
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("read catalogs: %w", err)
		}
		c := ledger.Change{At: time.Unix(0, when).Add(-e.Offset).UTC(), Revision: e.Catalog.Revision, Source: e.Source}
		if err := fn(c, e.Catalog); err != nil {
			return err
		}
	}
	return rows.Err()
}
