package view

import (
	"context"
	"fmt"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// noteComponents remembers which hosts and checks a catalog adds, and which it changes, at a wall time. before is nil
// for the first one.
func (f *fold) noteComponents(ctx context.Context, before, next *catalog.Catalog, at int64) error {
	if before == nil {
		before = &catalog.Catalog{}
	}
	pairs := catalog.Pair(next, before)
	for i := range next.Hosts {
		h := &next.Hosts[i]
		was := pairs.Host(h)
		changed := was == nil || was.Name != h.Name || was.Title != h.Title || was.Role != h.Role ||
			was.Region != h.Region || was.Public != h.Public
		id := ""
		if was != nil {
			id = was.Identity()
		}
		if err := f.noteComponent(ctx, id, h.Identity(), changed, at); err != nil {
			return err
		}
		for k := range h.Checks {
			check := &h.Checks[k]
			id, changed := "", true
			if was != nil {
				if asked := pairs.Check(h, was, check); asked != nil {
					id, changed = was.IdentityOf(asked), asked.Name != check.Name
				}
			}
			if err := f.noteComponent(ctx, id, h.IdentityOf(check), changed, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteComponent remembers that a component is in the catalog. was is its id in the catalog before; "" if it is new
// there. One that comes back keeps when it came first.
func (f *fold) noteComponent(ctx context.Context, was, id string, changed bool, at int64) error {
	if was != "" && was != id {
		if _, err := f.tx.ExecContext(ctx, `INSERT OR IGNORE INTO components (id, added, changed)
			SELECT ?, added, changed FROM components WHERE id = ?`, id, was); err != nil {
			return err
		}
	}
	if was != "" && !changed {
		return nil
	}
	_, err := f.tx.ExecContext(ctx, `INSERT INTO components (id, added, changed) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET changed = excluded.changed`, id, at, at)
	return err
}

// Components returns when each host and check that ever was in the catalog entered it, by its id.
func (d database) Components(ctx context.Context) (map[string]ledger.Component, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT id, added, changed FROM components`)
	if err != nil {
		return nil, fmt.Errorf("read when hosts and checks were added: %w", err)
	}
	defer rows.Close()
	out := map[string]ledger.Component{}
	for rows.Next() {
		var id string
		var added, changed int64
		if err := rows.Scan(&id, &added, &changed); err != nil {
			return nil, fmt.Errorf("read when hosts and checks were added: %w", err)
		}
		out[id] = ledger.Component{Added: wall(added), Changed: wall(changed)}
	}
	return out, rows.Err()
}
