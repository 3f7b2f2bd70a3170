package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// auditFold applies records of who changed what.
type auditFold struct{ *fold }

// apply stores who did something.
func (f auditFold) apply(ctx context.Context, r ledger.Record) error {
	var e ledger.AuditEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	_, err := f.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO audit (sequence, event, at, actor, action, object, key, request)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Sequence, e.Event, nanoseconds(e.Wall()), e.Actor, e.Action, e.Object, e.Key, e.Request)
	return err
}

// Audit answers queries on who did what.
type Audit struct{ db *sql.DB }

// Audit returns the audit log of the view.
func (d database) Audit() Audit { return Audit{d.db} }

// AuditMax bounds the entries of one answer.
const AuditMax = 1000

const auditColumns = `SELECT sequence, at, actor, action, object, request FROM audit `

// List returns the newest entries, newest first: at most limit, and at most AuditMax. before is the sequence that they
// precede; 0 means the newest.
func (a Audit) List(ctx context.Context, before uint64, limit int) ([]ledger.AuditEntry, error) {
	return a.query(ctx, auditColumns+`WHERE ? = 0 OR sequence < ? ORDER BY sequence DESC LIMIT ?`,
		before, before, max(0, min(limit, AuditMax)))
}

// ByKey returns what was done by requests with the digest of an idempotency key, oldest first.
func (a Audit) ByKey(ctx context.Context, key string) ([]ledger.AuditEntry, error) {
	return a.query(ctx, auditColumns+`WHERE key = ? AND key <> '' ORDER BY sequence LIMIT ?`, key, AuditMax)
}

func (a Audit) query(ctx context.Context, query string, args ...any) (out []ledger.AuditEntry, err error) {
	rows, err := a.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e ledger.AuditEntry
		var at int64
		if err := rows.Scan(&e.Sequence, &at, &e.Actor, &e.Action, &e.Object, &e.Request); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		e.At = wall(at)
		out = append(out, e)
	}
	return out, rows.Err()
}
