package view

import (
	"context"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// identifyTransition gives a transition of an earlier version its ids, and any transition the names that its host and
// check have in the catalog in force: the judge may have decided it under the catalog before.
func identifyTransition(c *catalog.Catalog, t *mesh.Transition) {
	if c == nil {
		c = &catalog.Catalog{}
	}
	h := c.HostByID(t.HostID)
	if t.HostID == "" {
		h = c.HostOnceNamed(t.Host)
	}
	if h == nil {
		if t.HostID == "" {
			t.HostID = catalog.FirstHostID(t.Host)
		}
		if t.Check != "" && t.CheckID == "" {
			t.CheckID = catalog.FirstCheckID(t.Host, t.Check)
		}
		return
	}
	t.Host, t.HostID = h.Name, h.Identity()
	if t.Check == "" {
		return
	}
	check := h.CheckByID(t.CheckID)
	if t.CheckID == "" {
		check = c.CheckOnceNamed(h, t.Check)
	}
	switch {
	case check != nil:
		t.Check, t.CheckID = check.Name, h.IdentityOf(check)
	case t.CheckID == "":
		t.CheckID = catalog.FirstCheckID(h.Name, t.Check)
	}
}

// rename gives what is stored the names that hosts and checks have in the next catalog. Rows are found by their ids, so
// that names may be swapped.
func (f *fold) rename(ctx context.Context, before, next *catalog.Catalog) error {
	if before == nil {
		return nil
	}
	pairs := catalog.Pair(before, next)
	for i := range before.Hosts {
		was := &before.Hosts[i]
		is := pairs.Host(was)
		if is == nil {
			continue
		}
		if was.Name != is.Name || was.Identity() != is.Identity() {
			if err := f.renameHost(ctx, was, is); err != nil {
				return err
			}
		}
		for k := range was.Checks {
			asked := &was.Checks[k]
			asks := pairs.Check(was, is, asked)
			if asks == nil || asks.Name == asked.Name && is.IdentityOf(asks) == was.IdentityOf(asked) {
				continue
			}
			if err := f.renameCheck(ctx, is, was.IdentityOf(asked), asked.Name, asks); err != nil {
				return err
			}
		}
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE internal SET host = ltrim(host, '#') WHERE host LIKE '#%'`); err != nil {
		return err
	}
	return f.hideFormerOwners(ctx, before, next)
}

func (f *fold) renameHost(ctx context.Context, was, is *catalog.Host) error {
	id := was.Identity()
	for _, table := range []string{"standings", "host_standings"} {
		if _, err := f.tx.ExecContext(ctx, `UPDATE `+table+` SET host = ?
			WHERE sequence IN (SELECT sequence FROM transitions WHERE host_id = ?)`, is.Key(), id); err != nil {
			return err
		}
	}
	// Marked until all are renamed: these rows have no id, and names may be swapped.
	if _, err := f.tx.ExecContext(ctx, `UPDATE internal SET host = '#' || ?1 || substr(host, length(?2) + 1)
		WHERE host = ?2 OR substr(host, 1, length(?2) + 1) = ?2 || char(10)`, is.Key(), was.Key()); err != nil {
		return err
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE transitions SET host = ?, host_id = ?,
		data = json_set(CAST(data AS TEXT), '$.host', ?, '$.host_id', ?) WHERE host_id = ?`,
		is.Key(), is.Identity(), is.Name, is.Identity(), id); err != nil {
		return err
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE agents SET host_id = ? WHERE host_id = ?`, is.Identity(), id); err != nil {
		return err
	}
	if err := (postFold{f}).renameHost(ctx, id, is.Identity()); err != nil {
		return err
	}
	err := maintenanceFold{f}.rename(ctx, id, func(m *maintenance.Maintenance) { m.RenameHost(id, is.Identity()) })
	if err != nil {
		return err
	}
	return f.renameInIncidents(ctx, id, func(i *incident.Incident) { i.RenameHost(id, is.Identity(), is.Name) })
}

func (f *fold) renameCheck(ctx context.Context, h *catalog.Host, id, was string, is *catalog.Check) error {
	now := h.IdentityOf(is)
	// Marked, as in renameHost; the host may be marked already.
	if _, err := f.tx.ExecContext(ctx, `UPDATE internal SET host = '##' || ?1 WHERE host IN (?2, '#' || ?2)`,
		internalCheck(h.Key(), is.Name), internalCheck(h.Key(), was)); err != nil {
		return err
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE standings SET check_ = ?, check_id = ? WHERE check_id = ?`,
		is.Name, now, id); err != nil {
		return err
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE transitions
		SET data = json_set(CAST(data AS TEXT), '$.check', ?, '$.check_id', ?)
		WHERE host_id = ? AND json_extract(CAST(data AS TEXT), '$.check_id') = ?`,
		is.Name, now, h.Identity(), id); err != nil {
		return err
	}
	err := maintenanceFold{f}.rename(ctx, id, func(m *maintenance.Maintenance) { m.RenameCheck(id, now) })
	if err != nil {
		return err
	}
	return f.renameInIncidents(ctx, id, func(i *incident.Incident) { i.RenameCheck(id, now, is.Name) })
}

// renameInIncidents applies do to all incidents that contain the id.
func (f *fold) renameInIncidents(ctx context.Context, id string, do func(*incident.Incident)) error {
	rows, err := f.tx.QueryContext(ctx, `SELECT data FROM incidents WHERE instr(CAST(data AS TEXT), ?) > 0`, id)
	if err != nil {
		return err
	}
	all, err := scanIncidents(rows)
	if err != nil {
		return err
	}
	for _, i := range all {
		do(i)
		if err := (incidentFold{f}).store(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// hideFormerOwners keeps the history of a host that is gone from a new host of the same name.
func (f *fold) hideFormerOwners(ctx context.Context, before, next *catalog.Catalog) error {
	pairs := catalog.Pair(next, before)
	for i := range next.Hosts {
		h := &next.Hosts[i]
		if pairs.Host(h) != nil {
			continue
		}
		for _, table := range []string{"standings", "host_standings", "transitions"} {
			if _, err := f.tx.ExecContext(ctx, `UPDATE `+table+` SET host = '#' || host WHERE sequence IN
				(SELECT sequence FROM transitions WHERE host = ? AND host_id <> ?)`, h.Key(), h.Identity()); err != nil {
				return err
			}
		}
	}
	return nil
}
