package view

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// beginHostStanding begins the span of a host's status, unless it has that status already.
func (f *fold) beginHostStanding(ctx context.Context, sequence uint64, t mesh.Transition) error {
	host := mesh.Key(t.Host)
	var status string
	row := f.tx.QueryRowContext(ctx, `SELECT status FROM host_standings WHERE host = ? AND until = ?`, host, open)
	err := row.Scan(&status)
	if t.To == "" || status == string(t.To) || err != nil && !errors.Is(err, sql.ErrNoRows) {
		return ignoreNoRows(err)
	}
	since := nanoseconds(t.Published)
	if _, err := f.tx.ExecContext(ctx, `UPDATE host_standings SET until = ? WHERE host = ? AND until = ?`,
		since, host, open); err != nil {
		return err
	}
	_, err = f.tx.ExecContext(ctx,
		`INSERT INTO host_standings (sequence, host, status, began, since, until) VALUES (?, ?, ?, ?, ?, ?)`,
		sequence, host, string(t.To), began(t), since, open)
	return err
}

// began returns when a transition's cause began. One without a cause began when it was published.
func began(t mesh.Transition) int64 {
	if t.Began.IsZero() {
		return nanoseconds(t.Published)
	}
	return nanoseconds(t.Began)
}

func ignoreNoRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// setVisibility ends the standings of hosts that a catalog removes, and records which hosts are internal from it on.
func (f *fold) setVisibility(ctx context.Context, next *catalog.Catalog, at time.Time) error {
	standing, err := f.openHosts(ctx, `SELECT host FROM host_standings WHERE until = ?`)
	if err != nil {
		return err
	}
	for host := range standing {
		if next.Host(host) != nil {
			continue
		}
		if _, err := f.tx.ExecContext(ctx, `UPDATE host_standings SET until = ? WHERE host = ? AND until = ?`,
			nanoseconds(at), host, open); err != nil {
			return err
		}
	}
	internal, err := f.openHosts(ctx, `SELECT host FROM internal WHERE until = ?`)
	if err != nil {
		return err
	}
	for i := range next.Hosts {
		h := &next.Hosts[i]
		switch {
		case h.Public == !internal[h.Key()]:
			continue
		case h.Public:
			_, err = f.tx.ExecContext(ctx, `UPDATE internal SET until = ? WHERE host = ? AND until = ?`,
				nanoseconds(at), h.Key(), open)
		default:
			_, err = f.tx.ExecContext(ctx, `INSERT INTO internal (host, since, until) VALUES (?, ?, ?)`,
				h.Key(), nanoseconds(at), open)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) openHosts(ctx context.Context, query string) (map[string]bool, error) {
	rows, err := f.tx.QueryContext(ctx, query, open)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var host string
		if err := rows.Scan(&host); err != nil {
			return nil, err
		}
		out[host] = true
	}
	return out, rows.Err()
}

// Periods answers what was so during periods of the past.
type Periods struct{ db *sql.DB }

// Periods returns the part of the view that knows about periods.
func (v *View) Periods() Periods { return Periods{v.db} }

// Published returns what was published of hosts and checks that concerns a period of mesh time: of hosts first, then of
// checks. Hosts are named by key. A host or check of which nothing was in force is missing.
func (p Periods) Published(ctx context.Context, from, to time.Time) ([]sla.History, error) {
	out, err := p.histories(ctx, `SELECT host, '', status, began, since, until FROM host_standings
		WHERE until > ? AND began < ?`, from, to,
		func(status string) sla.State { return sla.OfStatus(mesh.Status(status)) })
	if err != nil {
		return nil, err
	}
	checks, err := p.histories(ctx, `SELECT host, check_, verdict, began, since, until FROM standings
		WHERE until > ? AND began < ?`, from, to,
		func(verdict string) sla.State { return sla.OfVerdict(mesh.Verdict(verdict)) })
	return append(out, checks...), err
}

// histories groups the rows of a query, and sorts the groups by host and check. Sorting rows would take longer.
func (p Periods) histories(
	ctx context.Context, query string, from, to time.Time, state func(string) sla.State,
) (out []sla.History, err error) {
	rows, err := p.db.QueryContext(ctx, query, nanoseconds(from), nanoseconds(to))
	if err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	defer rows.Close()
	type subject struct{ host, check string }
	place := map[subject]int{}
	for rows.Next() {
		var host, check, word string
		var began, since, until int64
		if err := rows.Scan(&host, &check, &word, &began, &since, &until); err != nil {
			return nil, fmt.Errorf("read what was published: %w", err)
		}
		n, known := place[subject{host, check}]
		if !known {
			n = len(out)
			place[subject{host, check}] = n
			out = append(out, sla.History{Host: host, Check: check})
		}
		h := &out[n]
		h.Spans = append(h.Spans, sla.Span{
			State: state(word), Began: time.Unix(0, began), Published: time.Unix(0, since), Until: end(until),
		})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	slices.SortFunc(out, func(a, b sla.History) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Check, b.Check))
	})
	return out, nil
}

// end returns the end of a span; zero while it is open.
func end(until int64) time.Time {
	if until == open {
		return time.Time{}
	}
	return time.Unix(0, until)
}

// Statuses returns the status of each host at the end of the ledger, by the host's key.
func (p Periods) Statuses(ctx context.Context) (map[string]mesh.Status, error) {
	rows, err := p.db.QueryContext(ctx, `SELECT host, status FROM host_standings WHERE until = ?`, open)
	if err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	defer rows.Close()
	out := map[string]mesh.Status{}
	for rows.Next() {
		var host, status string
		if err := rows.Scan(&host, &status); err != nil {
			return nil, fmt.Errorf("read statuses: %w", err)
		}
		out[host] = mesh.Status(status)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	return out, nil
}

// Internal returns when hosts were internal during a period of mesh time, by the host's key.
func (p Periods) Internal(ctx context.Context, from, to time.Time) (map[string][]sla.Window, error) {
	rows, err := p.db.QueryContext(ctx, `SELECT host, since, until FROM internal WHERE until > ? AND since < ?`,
		nanoseconds(from), nanoseconds(to))
	if err != nil {
		return nil, fmt.Errorf("read when hosts were internal: %w", err)
	}
	defer rows.Close()
	out := map[string][]sla.Window{}
	for rows.Next() {
		var host string
		var since, until int64
		if err := rows.Scan(&host, &since, &until); err != nil {
			return nil, fmt.Errorf("read when hosts were internal: %w", err)
		}
		out[host] = append(out[host], sla.Window{From: time.Unix(0, since), To: time.Unix(0, until)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read when hosts were internal: %w", err)
	}
	return out, nil
}

// pause records that nothing was judged for a time. A restart may find the same pause in the stream again.
func (f *fold) pause(ctx context.Context, r ledger.Record) error {
	var e ledger.PauseEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	_, err := f.tx.ExecContext(ctx, `INSERT OR IGNORE INTO pauses (since, until) VALUES (?, ?)`,
		nanoseconds(e.From), nanoseconds(e.To))
	return err
}

// Pauses returns when nothing was judged during a period of mesh time.
func (p Periods) Pauses(ctx context.Context, from, to time.Time) (out []sla.Window, err error) {
	rows, err := p.db.QueryContext(ctx,
		`SELECT since, until FROM pauses WHERE until > ? AND since < ? ORDER BY until, since`,
		nanoseconds(from), nanoseconds(to))
	if err != nil {
		return nil, fmt.Errorf("read when nothing was judged: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var since, until int64
		if err := rows.Scan(&since, &until); err != nil {
			return nil, fmt.Errorf("read when nothing was judged: %w", err)
		}
		out = append(out, sla.Window{From: time.Unix(0, since), To: time.Unix(0, until)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read when nothing was judged: %w", err)
	}
	return out, nil
}

// OffsetAt returns the offset, mesh time less the wall clock, of the newest transition that was published by a time of
// the wall clock; false if there is none.
func (p Periods) OffsetAt(ctx context.Context, wall time.Time) (offset time.Duration, found bool, err error) {
	row := p.db.QueryRowContext(ctx,
		`SELECT offset FROM standings WHERE since - offset <= ? ORDER BY since DESC LIMIT 1`, nanoseconds(wall))
	switch err := row.Scan(&offset); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("read the offset of the mesh time: %w", err)
	}
	return offset, true, nil
}
