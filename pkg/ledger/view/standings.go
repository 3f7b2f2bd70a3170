package view

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A standing is the span of mesh time during which a transition's verdict is in force: from when it was published
// until the check's next transition, or until a catalog removes the check or changes what it asks.

// open is the end of a standing that has not ended.
const open = math.MaxInt64

// Standings returns, for every check, the transition that was in force at the mesh time, in the order of the log. A
// check that had no transition by then, or whose last one a catalog had ended by then, is missing.
func (v *View) Standings(ctx context.Context, at time.Time) ([]mesh.Transition, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT t.data FROM standings s JOIN transitions t USING (sequence)
		WHERE s.until > ? AND s.since <= ? ORDER BY sequence`, nanoseconds(at), nanoseconds(at))
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	return scanTransitions(rows)
}

// beginStanding begins the transition's standing and ends the one that it supersedes. A transition of a host alone
// has none.
func (f *fold) beginStanding(ctx context.Context, sequence uint64, t mesh.Transition) error {
	// What was published again when a maintenance ended stands since it was measured.
	if t.Check == "" || t.Was == t.Verdict {
		return nil
	}
	host, since := mesh.Key(t.Host), nanoseconds(t.Published)
	if _, err := f.tx.ExecContext(ctx, `UPDATE standings SET until = ? WHERE until = ? AND host = ? AND check_ = ?`,
		since, open, host, t.Check); err != nil {
		return err
	}
	_, err := f.tx.ExecContext(ctx,
		`INSERT INTO standings (sequence, host, check_, check_id, verdict, began, offset, since, until)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		sequence, host, t.Check, t.CheckID, string(t.Verdict), began(t), int64(t.Offset), since, open)
	return err
}

// endStandings ends the standings that do not outlast a change of catalogs.
func (f *fold) endStandings(ctx context.Context, before, next *catalog.Catalog, at time.Time) error {
	if before == nil {
		return nil
	}
	standings, err := f.openStandings(ctx)
	if err != nil {
		return err
	}
	pairs := catalog.Pair(before, next)
	for _, s := range standings {
		if s.outlasts(before, pairs) {
			continue
		}
		_, err := f.tx.ExecContext(ctx, `UPDATE standings SET until = ? WHERE sequence = ?`, nanoseconds(at), s.sequence)
		if err != nil {
			return err
		}
	}
	return nil
}

type standing struct {
	sequence uint64
	check    string // its id
	verdict  mesh.Verdict
}

func (f *fold) openStandings(ctx context.Context) (out []standing, err error) {
	rows, err := f.tx.QueryContext(ctx, `SELECT sequence, check_id, verdict FROM standings WHERE until = ?`, open)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s standing
		if err := rows.Scan(&s.sequence, &s.check, &s.verdict); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// outlasts reports whether the verdict stays in force under the next catalog. It is the judge's own rule: a check
// that asks something else is pending again, unless it was down.
func (s standing) outlasts(before *catalog.Catalog, pairs *catalog.Pairing) bool {
	was, asked := before.CheckByID(s.check)
	if was == nil {
		return false
	}
	is := pairs.Host(was)
	asks := pairs.Check(was, is, asked)
	if asks == nil {
		return false
	}
	return s.verdict == mesh.Down || asked.SameQuestion(asks) && was.SameAddresses(is)
}
