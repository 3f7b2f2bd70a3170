package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// TransitionsMax bounds the transitions of one answer.
const TransitionsMax = 10_000

// Transitions returns the newest transitions published since the mesh time, oldest first, of a host's key or of all
// hosts (""): at most limit, and at most TransitionsMax.
func (v *View) Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error) {
	return TransitionsIn(ctx, v, host, since, time.Time{}, limit)
}

// TransitionsIn is Transitions up to a mesh time; the zero time is the present.
func TransitionsIn(
	ctx context.Context, v *View, host string, since, until time.Time, limit int,
) ([]mesh.Transition, error) {
	query, args := `SELECT data FROM transitions WHERE published >= ?`, []any{nanoseconds(since)}
	if !until.IsZero() {
		query, args = query+` AND published <= ?`, append(args, nanoseconds(until))
	}
	if host != "" {
		query, args = query+` AND host = ?`, append(args, host)
	}
	query += ` ORDER BY published DESC, sequence DESC LIMIT ?`
	rows, err := v.db.QueryContext(ctx, query, append(args, max(0, min(limit, TransitionsMax)))...)
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	out, err := scanTransitions(rows)
	slices.Reverse(out)
	return out, err
}

// DecidedAt returns the transitions that were decided at a sequence of the stream of observations, the newest stream's
// first. Several changes may follow from one message.
func DecidedAt(ctx context.Context, v *View, sequence uint64) ([]mesh.Transition, error) {
	// An id begins with the sequence and a hyphen, after which the next character is a full stop.
	rows, err := v.db.QueryContext(ctx, `SELECT data FROM transitions WHERE id >= ? AND id < ?
		ORDER BY published DESC, sequence LIMIT ?`,
		fmt.Sprintf("%d-", sequence), fmt.Sprintf("%d.", sequence), TransitionsMax)
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	return scanTransitions(rows)
}

// PublicTransitions is Transitions for the public: of the hosts with these keys, which are those that are public now,
// and without what happened while a host was internal. The limit counts none of the others.
func (v *View) PublicTransitions(
	ctx context.Context, hosts []string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	keys, err := json.Marshal(append([]string{}, hosts...))
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	// The cast: SQLite takes a blob for its own binary form of JSON.
	rows, err := v.db.QueryContext(ctx, `SELECT data FROM transitions
		WHERE published >= ? AND host IN (SELECT value FROM json_each(?)) AND json_extract(CAST(data AS TEXT), '$.public')
		ORDER BY published DESC, sequence DESC LIMIT ?`,
		nanoseconds(since), string(keys), max(0, min(limit, TransitionsMax)))
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	out, err := scanTransitions(rows)
	slices.Reverse(out)
	return out, err
}

// TransitionsOf returns the transitions that updates of an incident are made of, oldest first. It finds them however
// long ago that was, and however much happened since.
func TransitionsOf(ctx context.Context, v *View, parts []incident.Update) ([]mesh.Transition, error) {
	type key struct {
		ID string `json:"id"`
		At int64  `json:"at"` // ids repeat
	}
	keys := make([]key, 0, min(len(parts), TransitionsMax))
	for _, p := range parts[:min(len(parts), TransitionsMax)] {
		keys = append(keys, key{p.ID, nanoseconds(p.At)})
	}
	data, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	rows, err := v.db.QueryContext(ctx, `SELECT data FROM json_each(?) AS part JOIN transitions
		ON transitions.id = json_extract(part.value, '$.id') AND published = json_extract(part.value, '$.at')
		ORDER BY published, sequence`, string(data))
	if err != nil {
		return nil, fmt.Errorf("read transitions: %w", err)
	}
	return scanTransitions(rows)
}

// scanTransitions reads the rows and closes them.
func scanTransitions(rows *sql.Rows) ([]mesh.Transition, error) {
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

// Judged returns how far the stream of observations was judged: the place in it at which the newest transition was
// decided, as a sequence and a mesh time. Both are zero without transitions.
func (v *View) Judged(ctx context.Context) (sequence uint64, at time.Time, err error) {
	var published int64
	row := v.db.QueryRowContext(ctx, `SELECT judged, published FROM transitions ORDER BY sequence DESC LIMIT 1`)
	switch err = row.Scan(&sequence, &published); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, time.Time{}, nil
	case err != nil:
		return 0, time.Time{}, fmt.Errorf("read the newest transition: %w", err)
	}
	return sequence, time.Unix(0, published).UTC(), nil
}
