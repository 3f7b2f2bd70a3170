package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// take takes one event of the log into the view. Kinds that this version does not know are left to the versions that do.
func (w *writing) take(ctx context.Context, r Record) error {
	w.last = r.Sequence
	kind, _, _ := strings.Cut(r.Subject, ".")
	var err error
	switch kind {
	case "transition":
		err = w.transition(ctx, r)
	case "catalog":
		err = w.catalog(ctx, r)
	case "agent":
		err = w.agent(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("event %d, %s: %w", r.Sequence, r.Subject, err)
	}
	return nil
}

func (w *writing) transition(ctx context.Context, r Record) error {
	var t mesh.Transition
	if err := json.Unmarshal(r.Data, &t); err != nil {
		return err
	}
	data, err := w.restate(ctx, &t)
	if err != nil {
		return err
	}
	done, err := w.tx.ExecContext(ctx,
		`INSERT OR IGNORE INTO transitions (sequence, id, judged, host, published, data) VALUES (?, ?, ?, ?, ?, ?)`,
		r.Sequence, t.ID, t.Sequence, mesh.Key(t.Host), nanoseconds(t.Published), data)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); n == 0 || err != nil {
		return err
	}
	if err := w.extend(ctx, t); err != nil || t.Check == "" {
		return err
	}
	_, err = w.tx.ExecContext(ctx, `INSERT OR REPLACE INTO standings (host, check_, verdict, sequence) VALUES (?, ?, ?, ?)`,
		mesh.Key(t.Host), t.Check, string(t.Verdict), r.Sequence)
	return err
}

// restate writes the transition's sentence anew from its facts and returns the transition encoded. Earlier versions
// put the text of agents and probed servers into sentences; nobody who reads the view, and no incident, must repeat
// it. The votes keep their free text, for operators.
func (w *writing) restate(ctx context.Context, t *mesh.Transition) (data []byte, err error) {
	c, err := w.inForce(ctx)
	if err != nil {
		return nil, err
	}
	t.Sentence = sentence.OfTransition(c, *t)
	return json.Marshal(t)
}

// inForce is the catalog that the log has before the event that is being taken; nil before the first.
func (w *writing) inForce(ctx context.Context) (*catalog.Catalog, error) {
	if w.current != nil {
		return w.current, nil
	}
	var data []byte
	var e CatalogEvent
	err := w.tx.QueryRowContext(ctx, `SELECT data FROM catalogs ORDER BY sequence DESC LIMIT 1`).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	w.current = e.Catalog
	return e.Catalog, err
}

func (w *writing) catalog(ctx context.Context, r Record) error {
	var e CatalogEvent
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return err
	}
	if e.Catalog == nil {
		return errors.New("no catalog in it")
	}
	at := meshTime(e.Mesh, r.Time)
	if err := w.endStandings(ctx, e.Catalog, nanoseconds(at)); err != nil {
		return err
	}
	if err := w.endIncidents(ctx, e.Catalog, at, e.Offset); err != nil {
		return err
	}
	w.current = e.Catalog
	_, err := w.tx.ExecContext(ctx, `INSERT OR IGNORE INTO catalogs (sequence, revision, at, data) VALUES (?, ?, ?, ?)`,
		r.Sequence, e.Catalog.Revision, nanoseconds(at), r.Data)
	return err
}

// endStandings ends what was said of checks that the next catalog does not ask any more, or asks something else.
func (w *writing) endStandings(ctx context.Context, next *catalog.Catalog, at int64) error {
	before, err := w.inForce(ctx)
	if before == nil || err != nil {
		return err
	}
	standings, err := w.standing(ctx)
	if err != nil {
		return err
	}
	for _, s := range standings {
		if s.stands(before, next) {
			continue
		}
		if _, err := w.tx.ExecContext(ctx, `UPDATE standings SET until = ? WHERE host = ? AND check_ = ?`, at, s.host, s.check); err != nil {
			return err
		}
	}
	return nil
}

// standing is what was said of a check last.
type standing struct {
	host, check string
	verdict     mesh.Verdict
}

// standing lists what no catalog ended yet.
func (w *writing) standing(ctx context.Context) (out []standing, err error) {
	rows, err := w.tx.QueryContext(ctx, `SELECT host, check_, verdict FROM standings WHERE until = ?`, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s standing
		if err := rows.Scan(&s.host, &s.check, &s.verdict); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// stands reports whether what was said of the check holds by the next catalog too. It is the judge's own rule: what asks
// something else is pending, unless it was down.
func (s standing) stands(before, next *catalog.Catalog) bool {
	was, is := before.Host(s.host), next.Host(s.host)
	if was == nil || is == nil {
		return false
	}
	asked, asks := was.Check(s.check), is.Check(s.check)
	if asked == nil || asks == nil {
		return false
	}
	return s.verdict == mesh.Down || asked.SameQuestion(asks) && slices.Equal(was.Addresses, is.Addresses)
}
