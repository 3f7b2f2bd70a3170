package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// agent applies what happened to an agent's key. A revoked key stays invalid: the insert below ignores a key that is
// there.
func (f *fold) agent(ctx context.Context, r ledger.Record) error {
	var e ledger.AgentEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	at := nanoseconds(e.At(r))
	if e.Revoked {
		_, err := f.tx.ExecContext(ctx, `UPDATE agents SET revoked = ? WHERE host = ? AND public_key = ? AND revoked = 0`,
			at, e.Host, e.PublicKey)
		return err
	}
	if e.HostID == "" {
		if c, err := f.inForce(ctx); err != nil {
			return err
		} else if c != nil {
			if h := c.HostOnceNamed(e.Host); h != nil {
				e.HostID = h.Identity()
			}
		}
	}
	if _, err := f.tx.ExecContext(ctx, `UPDATE agents SET superseded = 1
		WHERE (host = ? OR host_id = ? AND host_id <> '') AND public_key <> ?`, e.Host, e.HostID, e.PublicKey); err != nil {
		return err
	}
	_, err := f.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO agents (public_key, host, host_id, sequence, at) VALUES (?, ?, ?, ?, ?)`,
		e.PublicKey, e.Host, e.HostID, r.Sequence, at)
	return err
}

// Roster returns the hosts whose agents are enrolled.
func (v *View) Roster(ctx context.Context) (*mesh.Roster, error) {
	rows, err := v.db.QueryContext(ctx,
		`SELECT host, host_id FROM agents WHERE superseded = 0 AND revoked = 0 ORDER BY host`)
	if err != nil {
		return nil, fmt.Errorf("read the roster: %w", err)
	}
	defer rows.Close()
	out := &mesh.Roster{Hosts: map[string]string{}}
	for rows.Next() {
		var agent, id string
		if err := rows.Scan(&agent, &id); err != nil {
			return nil, fmt.Errorf("read the roster: %w", err)
		}
		out.Vantages = append(out.Vantages, agent)
		if id != "" {
			out.Hosts[agent] = id
		}
	}
	return out, rows.Err()
}

// AgentKeys returns the public keys of the agents on the Roster, by the host's key.
func (v *View) AgentKeys(ctx context.Context) (map[string]string, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT host, public_key FROM agents WHERE superseded = 0 AND revoked = 0`)
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

// Agent returns the key that an agent joined with last which NATS knows by the name or, if there is none, which belongs
// to the host with the id; or ledger.ErrNoAgent.
func (v *View) Agent(ctx context.Context, host, id string) (a ledger.Agent, err error) {
	var enrolled, revoked int64
	row := v.db.QueryRowContext(ctx, `SELECT host, host_id, public_key, at, revoked FROM agents
		WHERE host = ? OR host_id = ? AND host_id <> '' ORDER BY host = ? DESC, sequence DESC LIMIT 1`, host, id, host)
	switch err := row.Scan(&a.Name, &a.HostID, &a.PublicKey, &enrolled, &revoked); {
	case errors.Is(err, sql.ErrNoRows):
		return a, fmt.Errorf("%s: %w", host, ledger.ErrNoAgent)
	case err != nil:
		return a, fmt.Errorf("read the agent of %s: %w", host, err)
	}
	a.Enrolled = time.Unix(0, enrolled)
	if revoked != 0 {
		a.Revoked = time.Unix(0, revoked)
	}
	return a, nil
}

// EndedKeys returns every key that must no longer connect: those revoked, and those replaced when the host joined
// again.
func (v *View) EndedKeys(ctx context.Context) ([]string, error) {
	keys, err := v.texts(ctx, `SELECT public_key FROM agents WHERE superseded = 1 OR revoked > 0 ORDER BY sequence`)
	if err != nil {
		return nil, fmt.Errorf("read the revoked keys: %w", err)
	}
	return keys, nil
}

// texts returns the single text column of a query.
func (v *View) texts(ctx context.Context, query string) (out []string, err error) {
	rows, err := v.db.QueryContext(ctx, query)
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
