package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// notify applies a message that was sent, an acknowledgement or a silence.
func (f *fold) notify(ctx context.Context, r ledger.Record) error {
	var e ledger.NotifyEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	if e.Action == ledger.NotifyUnsilenced {
		_, err := f.tx.ExecContext(ctx, `DELETE FROM notified WHERE action = ? AND id = ?`, ledger.NotifySilenced, e.ID)
		return err
	}
	_, err := f.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO notified (action, id, alert, at, data) VALUES (?, ?, ?, ?, ?)`,
		e.Action, e.ID, e.Alert, nanoseconds(e.At), r.Data)
	return err
}

// Notified answers what was sent, acknowledged and silenced.
type Notified struct{ db *sql.DB }

// Notified returns the part of the view that knows about notifications.
func (d database) Notified() Notified { return Notified(d) }

// Since returns what was sent and acknowledged since a time, and all silences, oldest first.
func (n Notified) Since(ctx context.Context, since time.Time) (out []ledger.NotifyEvent, err error) {
	rows, err := n.db.QueryContext(ctx, `SELECT data FROM notified WHERE at >= ? OR action IN (?, ?) ORDER BY at, id`,
		nanoseconds(since), ledger.NotifySilenced, ledger.NotifyBegun)
	if err != nil {
		return nil, fmt.Errorf("read what was sent: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		var e ledger.NotifyEvent
		if err := rows.Scan(&data); err != nil {
			return nil, fmt.Errorf("read what was sent: %w", err)
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("read what was sent: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what was sent: %w", err)
	}
	return out, nil
}
