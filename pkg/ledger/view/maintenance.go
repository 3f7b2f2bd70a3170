package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// maintenanceFold is the part of a fold that applies events of maintenances.
type maintenanceFold struct{ *fold }

// apply applies what a person did to a maintenance.
func (f maintenanceFold) apply(ctx context.Context, r ledger.Record) error {
	var e ledger.MaintenanceEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	m, err := readMaintenance(f.tx.QueryRowContext(ctx, `SELECT data FROM maintenances WHERE id = ?`, e.ID))
	switch {
	case err != nil:
		return err
	case m == nil && e.Schedule == nil:
		return nil // of a maintenance that the log has lost
	case m == nil:
		m = &maintenance.Maintenance{ID: e.ID, Schedule: *e.Schedule, Targets: e.Targets, Tags: e.Tags, Category: e.Category}
	}
	for _, c := range m.Changes {
		if c.ID == e.Event {
			return nil // a repeat, which the log did not recognize
		}
	}
	c := maintenance.Change{ID: e.Event, Action: e.Action, At: e.Wall().UTC(), Occurrence: e.Occurrence, From: e.From,
		Until: e.Until, Auto: e.Auto}
	if e.Text != nil {
		if c.Text, err = f.read(ctx, *e.Text); err != nil {
			return err
		}
	}
	if e.Action != maintenance.Edit {
		m.Changes = append(m.Changes, c)
		return f.store(ctx, m)
	}
	edits := maintenance.Edits{Of: e.Of, Text: c.Text, Erase: len(e.Erased) > 0, Tags: e.Tags, Category: e.Category}
	c.Text = maintenance.Text{}
	m.Edit(c, edits)
	for _, text := range e.Erased {
		if err := f.noteErased(ctx, text.ID); err != nil {
			return err
		}
	}
	return f.store(ctx, m)
}

// read reads a text. One that is lost, or is not the one that the ledger names, is missing.
func (f maintenanceFold) read(ctx context.Context, ref ledger.TextRef) (maintenance.Text, error) {
	title, body, err := f.text(ctx, &ref)
	if err != nil || title == nil {
		return maintenance.Text{ID: ref.ID, Missing: true}, err
	}
	return maintenance.Text{ID: ref.ID, Title: *title, Body: *body}, nil
}

func (f maintenanceFold) store(ctx context.Context, m *maintenance.Maintenance) error {
	f.archive.touch(archive.Maintenance, m.ID)
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = f.tx.ExecContext(ctx, `INSERT OR REPLACE INTO maintenances (id, begins, over, data) VALUES (?, ?, ?, ?)`,
		m.ID, nanoseconds(m.Announced()), nanoseconds(m.Over()), data)
	return err
}

// rename applies do to all maintenances that contain the id.
func (f maintenanceFold) rename(ctx context.Context, id string, do func(*maintenance.Maintenance)) error {
	rows, err := f.tx.QueryContext(ctx, `SELECT data FROM maintenances WHERE instr(CAST(data AS TEXT), ?) > 0`, id)
	if err != nil {
		return err
	}
	all, err := scanMaintenances(rows)
	if err != nil {
		return err
	}
	for _, m := range all {
		do(m)
		if err := f.store(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// readMaintenance reads a row; nil if there is none.
func readMaintenance(row *sql.Row) (*maintenance.Maintenance, error) {
	var data []byte
	switch err := row.Scan(&data); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	m := &maintenance.Maintenance{}
	return m, json.Unmarshal(data, m)
}

// scanMaintenances reads the rows and closes them.
func scanMaintenances(rows *sql.Rows) (out []*maintenance.Maintenance, err error) {
	defer rows.Close()
	for rows.Next() {
		var data []byte
		m := &maintenance.Maintenance{}
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, m); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// Maintenances answers queries on maintenances. Their times are wall time.
type Maintenances struct{ db *sql.DB }

// Maintenances returns the maintenances of the view.
func (d database) Maintenances() Maintenances { return Maintenances{d.db} }

// MaintenancesMax bounds the maintenances of one answer.
const MaintenancesMax = 1000

// List returns the maintenances that may touch the period of wall time, the latest announced first: at most limit, and
// at most MaintenancesMax.
func (p Maintenances) List(ctx context.Context, from, to time.Time, limit int) ([]*maintenance.Maintenance, error) {
	rows, err := p.db.QueryContext(ctx, `SELECT data FROM maintenances WHERE over >= ? AND begins < ?
		ORDER BY begins DESC, id LIMIT ?`, nanoseconds(from), nanoseconds(to), max(0, min(limit, MaintenancesMax)))
	if err != nil {
		return nil, fmt.Errorf("read maintenances: %w", err)
	}
	out, err := scanMaintenances(rows)
	if err != nil {
		return nil, fmt.Errorf("read maintenances: %w", err)
	}
	return out, nil
}

// Get returns the maintenance with the id, or ledger.ErrNoMaintenance.
func (p Maintenances) Get(ctx context.Context, id string) (*maintenance.Maintenance, error) {
	m, err := readMaintenance(p.db.QueryRowContext(ctx, `SELECT data FROM maintenances WHERE id = ?`, id))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read a maintenance: %w", err)
	case m == nil:
		return nil, ledger.ErrNoMaintenance
	}
	return m, nil
}
