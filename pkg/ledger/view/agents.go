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
		// Not by its name, which may have changed since the command was given.
		_, err := f.tx.ExecContext(ctx, `UPDATE agents SET revoked = ? WHERE public_key = ? AND revoked = 0`,
			at, e.PublicKey)
		return err
	}
	if e.Next != "" || e.Former != "" {
		return f.renameAgent(ctx, r, e)
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

// renameAgent applies what happened to the name of an agent's credential.
func (f *fold) renameAgent(ctx context.Context, r ledger.Record, e ledger.AgentEvent) error {
	if e.Former == "" {
		_, err := f.tx.ExecContext(ctx, `UPDATE agents SET next = ?, since = ? WHERE host = ? AND public_key = ?`,
			e.Next, e.Since, e.Host, e.PublicKey)
		return err
	}
	_, err := f.tx.ExecContext(ctx, `UPDATE agents SET host = ?, next = '', sequence = ?
		WHERE host = ? AND next = ? AND public_key = ?`, e.Host, r.Sequence, e.Former, e.Host, e.PublicKey)
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

const selectAgent = `SELECT host, host_id, public_key, at, revoked, next, since FROM agents `

// Agent returns the agent that NATS knows by the name, or is to know by it, even if it is revoked; ledger.ErrNoAgent if
// there is none, or if another one of its host joined since.
func (v *View) Agent(ctx context.Context, name string) (ledger.Agent, error) {
	return readAgent(name, v.db.QueryRowContext(ctx, selectAgent+`WHERE (host = ?1 OR next = ?1) AND superseded = 0
		ORDER BY revoked = 0 DESC, sequence DESC LIMIT 1`, name))
}

// AgentOf returns the agent that joined last of the host with the id or, where no agent of that ever joined, of those
// which NATS knows by the name; or ledger.ErrNoAgent.
func AgentOf(ctx context.Context, v *View, id, name string) (ledger.Agent, error) {
	if id != "" {
		a, err := readAgent(name, v.db.QueryRowContext(ctx, selectAgent+`WHERE host_id = ?
			ORDER BY superseded, sequence DESC LIMIT 1`, id))
		if !errors.Is(err, ledger.ErrNoAgent) {
			return a, err
		}
	}
	return readAgent(name, v.db.QueryRowContext(ctx, selectAgent+`WHERE host = ?1 AND (host_id = '' OR ?2 = '')
		ORDER BY superseded, sequence DESC LIMIT 1`, name, id))
}

// AgentSince returns the second up to which credentials of the key are revoked: see ledger.Agent. It is zero for a key
// that is not an agent's.
func AgentSince(ctx context.Context, v *View, publicKey string) (since int64, err error) {
	err = v.db.QueryRowContext(ctx, `SELECT coalesce(max(since), 0) FROM agents WHERE public_key = ? AND next = ''`,
		publicKey).Scan(&since)
	if err != nil {
		return 0, fmt.Errorf("read the agent's credentials: %w", err)
	}
	return since, nil
}

// Agents returns the agents on the Roster, by name.
func Agents(ctx context.Context, v *View) (out []ledger.Agent, err error) {
	rows, err := v.db.QueryContext(ctx, selectAgent+`WHERE superseded = 0 AND revoked = 0 ORDER BY host`)
	if err != nil {
		return nil, fmt.Errorf("read the agents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		a, err := readAgent("the mesh", rows)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// readAgent reads a row of selectAgent.
func readAgent(name string, row interface{ Scan(into ...any) error }) (a ledger.Agent, err error) {
	var enrolled, revoked int64
	switch err := row.Scan(&a.Name, &a.HostID, &a.PublicKey, &enrolled, &revoked, &a.Next, &a.Since); {
	case errors.Is(err, sql.ErrNoRows):
		return a, fmt.Errorf("%s: %w", name, ledger.ErrNoAgent)
	case err != nil:
		return a, fmt.Errorf("read the agent of %s: %w", name, err)
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
