package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// StandingsAt are the latest transition of every check as they were at a time of the past.
func (l *Ledger) StandingsAt(ctx context.Context, at time.Time) ([]mesh.Transition, error) {
	rows, err := l.view.db.QueryContext(ctx, `SELECT data FROM transitions WHERE published <= ? ORDER BY sequence DESC LIMIT ?`, nanoseconds(at), TransitionsMax)
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	newestFirst, err := scan(rows)
	if err != nil {
		return nil, err
	}
	type check struct{ host, name string }
	seen, out := map[check]bool{}, []mesh.Transition(nil)
	for _, t := range newestFirst {
		key := check{mesh.Key(t.Host), t.Check}
		if t.Check != "" && !seen[key] {
			seen[key] = true
			out = append(out, t)
		}
	}
	return out, nil
}

// Change is a catalog that changed something of a host.
type Change struct {
	At       time.Time        `json:"at"` // by the wall clock
	Revision string           `json:"revision"`
	Source   string           `json:"source"` // the file, or who applied it
	Changes  []catalog.Change `json:"changes"`
}

// catalogsMax is how many catalogs are looked through for the last change of a host.
const catalogsMax = 500

var errFound = errors.New("found")

// LastChange is the latest catalog, by the mesh time given, that changed something of the host; false when none is on
// record.
func (l *Ledger) LastChange(ctx context.Context, host string, at time.Time) (found Change, ok bool, err error) {
	var newer Change
	var next *catalog.Catalog
	err = l.catalogsBefore(ctx, at, func(c Change, older *catalog.Catalog) error {
		if next != nil {
			if newer.Changes = touching(catalog.Compare(older, next), host); len(newer.Changes) > 0 {
				found, ok = newer, true
				return errFound
			}
		}
		newer, next = c, older
		return nil
	})
	if err == nil && next != nil { // the first catalog on record
		if newer.Changes = touching(catalog.Compare(nil, next), host); len(newer.Changes) > 0 {
			found, ok = newer, true
		}
	}
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, ok, err
}

func touching(changes []catalog.Change, host string) []catalog.Change {
	var out []catalog.Change
	for _, c := range changes {
		if mesh.Key(c.Host) == host {
			out = append(out, c)
		}
	}
	return out
}

// catalogsBefore hands the catalogs that came into force by the time to fn, newest first.
func (l *Ledger) catalogsBefore(ctx context.Context, at time.Time, fn func(Change, *catalog.Catalog) error) error {
	rows, err := l.view.db.QueryContext(ctx, `SELECT at, data FROM catalogs WHERE at <= ? ORDER BY sequence DESC LIMIT ?`, nanoseconds(at), catalogsMax)
	if err != nil {
		return fmt.Errorf("read catalogs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var when int64
		var data []byte
		var e CatalogEvent
		if err := rows.Scan(&when, &data); err != nil {
			return fmt.Errorf("read catalogs: %w", err)
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("read catalogs: %w", err)
		}
		if err := fn(Change{At: time.Unix(0, when).Add(-e.Offset).UTC(), Revision: e.Catalog.Revision, Source: e.Source}, e.Catalog); err != nil {
			return err
		}
	}
	return rows.Err()
}

// CatalogsSince are the catalogs that were in force at some moment since the time, newest first.
func (l *Ledger) CatalogsSince(ctx context.Context, since time.Time) (out []*catalog.Catalog, err error) {
	err = l.catalogsBefore(ctx, time.Now(), func(c Change, in *catalog.Catalog) error {
		out = append(out, in)
		if !c.At.After(since) {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return out, err
}
