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
func (d database) Notified() Notified { return Notified{d.db} }

// sinceQuery also finds all about incidents and advisories that last, however old: the end goes to the channels that
// got the beginning. The last event about each other advisory says how often that was over, which is part of the ids of
// its messages; those about pauses occur once.
const sinceQuery = `WITH last AS (
  SELECT alert, action, id, MAX(at), CAST(data AS TEXT) ->> 'step' AS step FROM notified
  WHERE alert GLOB 'advisory-*' AND alert NOT GLOB 'advisory-pause-*' GROUP BY alert
)
SELECT data FROM notified WHERE at >= ?1 OR action IN (?2, ?3)
  OR alert IN (SELECT alert FROM last WHERE step IS NOT 'over')
  OR (action, id) IN (SELECT action, id FROM last)
  OR substr(alert, 1, instr(alert || '-', '-') - 1) IN (SELECT id FROM incidents WHERE resolved >= ?1)
ORDER BY at, id`

// Since returns what was sent and acknowledged since a time or about what lasts, and all silences, oldest first.
func (n Notified) Since(ctx context.Context, since time.Time) (out []ledger.NotifyEvent, err error) {
	rows, err := n.db.QueryContext(ctx, sinceQuery,
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
