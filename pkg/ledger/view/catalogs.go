package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
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

// LastChange returns the newest catalog, by the mesh time, that changed something of the host; false if there is none.
func (v *View) LastChange(ctx context.Context, host string, at time.Time) (last ledger.Change, found bool, err error) {
	// Catalogs come newest first, so what each one changed is known when the one before it has been read.
	var newer ledger.Change
	var newerCatalog *catalog.Catalog
	changed := func(before *catalog.Catalog) bool {
		for _, c := range catalog.Compare(before, newerCatalog) {
			if mesh.Key(c.Host) == host {
				newer.Changes = append(newer.Changes, c)
			}
		}
		return len(newer.Changes) > 0
	}
	err = v.catalogsBefore(ctx, at, func(c ledger.Change, in *catalog.Catalog) error {
		if newerCatalog != nil && changed(in) {
			return errStop
		}
		newer, newerCatalog = c, in
		return nil
	})
	switch {
	case errors.Is(err, errStop):
		return newer, true, nil
	case err != nil || newerCatalog == nil:
		return ledger.Change{}, false, err
	case changed(nil): // the first catalog added the host
		return newer, true, nil
	}
	return ledger.Change{}, false, nil
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
	var newer *catalog.Catalog
	err = v.catalogsBefore(ctx, time.Unix(0, math.MaxInt64), func(c ledger.Change, in *catalog.Catalog) error {
		if newer != nil {
			out[len(out)-1].Changes = catalog.Compare(in, newer)
		}
		if len(out) >= n {
			return errStop
		}
		out, newer = append(out, c), in
		return nil
	})
	if errors.Is(err, errStop) {
		return out, nil
	}
	if err == nil && newer != nil { // the first one added everything
		out[len(out)-1].Changes = catalog.Compare(nil, newer)
	}
	return out, err
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
