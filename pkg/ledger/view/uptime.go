package view

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
	if t.To == "" || t.Aside || status == string(t.To) || err != nil && !errors.Is(err, sql.ErrNoRows) {
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
		if err := f.setInternal(ctx, h.Key(), !h.Public, internal, at); err != nil {
			return err
		}
		for k := range h.Checks {
			c := &h.Checks[k]
			if err := f.setInternal(ctx, internalCheck(h.Key(), c.Name), c.Internal, internal, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// internalCheck returns the key of a check in the table internal, which has hosts by their key. No host's key has a
// line break.
func internalCheck(host, check string) string { return host + "\n" + check }

// setInternal records that a host or check is internal from a time on, or is no longer, unless it is known already.
func (f *fold) setInternal(
	ctx context.Context, key string, is bool, known map[string]bool, at time.Time,
) (err error) {
	switch {
	case is == known[key]:
	case is:
		_, err = f.tx.ExecContext(ctx, `INSERT INTO internal (host, since, until) VALUES (?, ?, ?)`,
			key, nanoseconds(at), open)
	default:
		_, err = f.tx.ExecContext(ctx, `UPDATE internal SET until = ? WHERE host = ? AND until = ?`,
			nanoseconds(at), key, open)
	}
	return err
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

// Published returns what was published of the host with the key and its checks, or for "" of all, that concerns a
// period of mesh time: of hosts first, then of checks. Hosts are named by key. A host or check of which nothing was in
// force is missing.
func (p Periods) Published(ctx context.Context, host string, from, to time.Time) ([]sla.History, error) {
	out, err := p.histories(ctx, `SELECT host || char(10) || char(10) || status, began, since, until
		FROM host_standings WHERE until > ? AND began < ?`, host, from, to,
		func(status string) sla.State { return sla.OfStatus(mesh.Status(status)) })
	if err != nil {
		return nil, err
	}
	checks, err := p.histories(ctx, `SELECT host || char(10) || check_ || char(10) || verdict, began, since, until
		FROM standings WHERE until > ? AND began < ?`, host, from, to,
		func(verdict string) sla.State { return sla.OfVerdict(mesh.Verdict(verdict)) })
	return append(out, checks...), err
}

// histories groups the rows of a query, and sorts the groups by host and check. Sorting rows would take longer. It
// reads thousands of rows, and past database/sql: that takes as long for each row as SQLite itself. The rows of other
// hosts are skipped in the index, which takes a tenth of the time of returning them.
func (p Periods) histories(
	ctx context.Context, query, host string, from, to time.Time, state func(string) sla.State,
) ([]sla.History, error) {
	args := []driver.NamedValue{{Ordinal: 1, Value: nanoseconds(from)}, {Ordinal: 2, Value: nanoseconds(to)}}
	if host != "" {
		query, args = query+` AND host = ?`, append(args, driver.NamedValue{Ordinal: 3, Value: host})
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	defer conn.Close()
	g := &groups{known: map[string]group{}, place: map[string]int{}, state: state}
	err = conn.Raw(func(driverConn any) error {
		rows, err := driverConn.(driver.QueryerContext).QueryContext(ctx, query, args)
		if err != nil {
			return err
		}
		defer rows.Close()
		row := make([]driver.Value, len(rows.Columns()))
		for err = rows.Next(row); err == nil && g.add(row); err = rows.Next(row) {
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return cmp.Or(err, errSpan)
	})
	if err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	slices.SortFunc(g.out, func(a, b sla.History) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Check, b.Check))
	})
	return g.out, nil
}

// groups are histories by host and check.
type groups struct {
	out   []sla.History
	known map[string]group // by the text of a row
	place map[string]int   // of the history, by host and check
	state func(string) sla.State
}

// group is the history that a row belongs to, and its state.
type group struct {
	place int
	state sla.State
}

var errSpan = errors.New("a span has columns of other types")

// add adds a span: a text of lines, which are host, check, and verdict or status; began, since and until. One text
// takes a third of the time of three. It reports whether the row is a span.
func (g *groups) add(row []driver.Value) bool {
	text, ok := row[0].(string)
	began, okBegan := row[1].(int64)
	since, okSince := row[2].(int64)
	until, okUntil := row[3].(int64)
	if !ok || !okBegan || !okSince || !okUntil {
		return false
	}
	of, known := g.known[text]
	if !known {
		of = g.of(text)
		g.known[text] = of
	}
	h := &g.out[of.place]
	h.Spans = append(h.Spans, sla.Span{
		State: of.state, Began: time.Unix(0, began), Published: time.Unix(0, since), Until: end(until),
	})
	return true
}

func (g *groups) of(text string) group {
	subject, word := text, ""
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		subject, word = text[:i], text[i+1:]
	}
	n, known := g.place[subject]
	if !known {
		n = len(g.out)
		g.place[subject] = n
		host, check, _ := strings.Cut(subject, "\n")
		g.out = append(g.out, sla.History{Host: host, Check: check})
	}
	return group{n, g.state(word)}
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

// Hidden is when hosts and checks were internal: see Of.
type Hidden map[string][]sla.Window

// Of returns when the host with the key was internal, or for a check when one of the two was.
func (h Hidden) Of(host, check string) []sla.Window {
	if check == "" {
		return h[host]
	}
	return slices.Concat(h[host], h[internalCheck(host, check)])
}

// Internal returns when hosts and checks were internal during a period of mesh time.
func (p Periods) Internal(ctx context.Context, from, to time.Time) (Hidden, error) {
	rows, err := p.db.QueryContext(ctx, `SELECT host, since, until FROM internal WHERE until > ? AND since < ?`,
		nanoseconds(from), nanoseconds(to))
	if err != nil {
		return nil, fmt.Errorf("read when hosts were internal: %w", err)
	}
	defer rows.Close()
	out := Hidden{}
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
