package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Agent is what the ledger knows of a host's agent: the key that it joined with last.
type Agent struct {
	PublicKey string
	Enrolled  time.Time // mesh time
	Revoked   time.Time // mesh time; zero: the key counts
}

// ErrNoAgent says that no agent of that host ever joined.
var ErrNoAgent = errors.New("no agent of that host ever joined")

// agent takes what happened to an agent's key. A key that was revoked once never counts again.
func (w *writing) agent(ctx context.Context, r Record) error {
	var e AgentEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	at := nanoseconds(meshTime(e.Mesh, r.Time))
	if e.Revoked {
		_, err := w.tx.ExecContext(ctx, `UPDATE agents SET revoked = ? WHERE host = ? AND public_key = ? AND revoked = 0`,
			at, e.Host, e.PublicKey)
		return err
	}
	if _, err := w.tx.ExecContext(ctx, `UPDATE agents SET superseded = 1 WHERE host = ? AND public_key <> ?`, e.Host, e.PublicKey); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(ctx, `INSERT OR IGNORE INTO agents (public_key, host, sequence, at) VALUES (?, ?, ?, ?)`,
		e.PublicKey, e.Host, r.Sequence, at)
	return err
}

// Roster is who is enrolled.
func (l *Ledger) Roster(ctx context.Context) (*mesh.Roster, error) {
	hosts, err := l.texts(ctx, `SELECT host FROM agents WHERE superseded = 0 AND revoked = 0 ORDER BY host`)
	if err != nil {
		return nil, fmt.Errorf("read the roster: %w", err)
	}
	return &mesh.Roster{Vantages: hosts}, nil
}

// AgentKeys are the public keys of the admitted agents, by host's key: of those that Roster names.
func (l *Ledger) AgentKeys(ctx context.Context) (map[string]string, error) {
	rows, err := l.view.db.QueryContext(ctx, `SELECT host, public_key FROM agents WHERE superseded = 0 AND revoked = 0`)
	if err != nil {
		return nil, fmt.Errorf("read the agents' keys: %w", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var host, key string
		if err := rows.Scan(&host, &key); err != nil {
			return nil, fmt.Errorf("read the agents' keys: %w", err)
		}
		out[host] = key
	}
	return out, rows.Err()
}

// Agent tells the key that the host's agent joined with last, or ErrNoAgent.
func (l *Ledger) Agent(ctx context.Context, host string) (a Agent, err error) {
	var enrolled, revoked int64
	row := l.view.db.QueryRowContext(ctx, `SELECT public_key, at, revoked FROM agents WHERE host = ? ORDER BY sequence DESC LIMIT 1`, host)
	switch err := row.Scan(&a.PublicKey, &enrolled, &revoked); {
	case errors.Is(err, sql.ErrNoRows):
		return a, fmt.Errorf("%s: %w", host, ErrNoAgent)
	case err != nil:
		return a, fmt.Errorf("read the agent of %s: %w", host, err)
	}
	a.Enrolled = time.Unix(0, enrolled)
	if revoked != 0 {
		a.Revoked = time.Unix(0, revoked)
	}
	return a, nil
}

// EndedKeys lists every key that must not open the bus any more: revoked, or replaced when its host joined again.
func (l *Ledger) EndedKeys(ctx context.Context) ([]string, error) {
	keys, err := l.texts(ctx, `SELECT public_key FROM agents WHERE superseded = 1 OR revoked > 0 ORDER BY sequence`)
	if err != nil {
		return nil, fmt.Errorf("read the revoked keys: %w", err)
	}
	return keys, nil
}

func (l *Ledger) texts(ctx context.Context, query string) (out []string, err error) {
	rows, err := l.view.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}
