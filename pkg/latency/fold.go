package latency

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// Record is one record of the stream ROLLUP.
type Record struct {
	Sequence uint64
	Event    *rollup.Event // nil: the record is not an event
}

// Apply applies records in their order, all or none. It returns how many events it refused, since their observations
// are in earlier ones.
func (s *Store) Apply(ctx context.Context, records []Record) (refused int, err error) {
	if len(records) == 0 {
		return 0, nil
	}
	f := &fold{open: map[rollup.Key]rollup.Summary{}, changed: map[rollup.Key]bool{}}
	err = s.write(ctx, func() { s.writing = nil; s.recent.change(f) }, func(tx *sql.Tx) error {
		f.tx = tx
		if err := f.begin(ctx); err != nil {
			return err
		}
		for _, r := range records {
			if err := f.apply(ctx, r); err != nil {
				return err
			}
		}
		return f.end(ctx, records[len(records)-1].Sequence)
	})
	return f.refused, err
}

// fold is one transaction that applies events.
type fold struct {
	tx      *sql.Tx
	last    *rollup.Event
	closed  int64                         // the first day that is not closed
	open    map[rollup.Key]rollup.Summary // hours that this transaction has read or changed
	changed map[rollup.Key]bool           // hours that this transaction has changed
	all     bool                          // open has all hours
	refused int
}

func (f *fold) begin(ctx context.Context) error {
	if err := f.tx.QueryRowContext(ctx, `SELECT closed FROM meta`).Scan(&f.closed); err != nil {
		return err
	}
	var data []byte
	err := f.tx.QueryRowContext(ctx, `SELECT data FROM events ORDER BY sequence DESC LIMIT 1`).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	last, err := rollup.Decode(data)
	f.last = &last
	return err
}

func (f *fold) apply(ctx context.Context, r Record) error {
	if r.Event == nil {
		return nil
	}
	e := *r.Event
	if f.last != nil {
		switch err := e.CheckFollows(*f.last); {
		case errors.Is(err, rollup.ErrOverlap):
			f.refused++
			return nil
		case errors.Is(err, rollup.ErrHole): // the event between them is lost
			e.Gaps = append(slices.Clone(e.Gaps), rollup.Gap{From: f.last.Until, To: later(f.last.Until, e.Began())})
		}
	}
	for _, g := range e.Gaps {
		if _, err := f.tx.ExecContext(ctx, `INSERT OR IGNORE INTO gaps (since, until) VALUES (?, ?)`,
			g.From.UnixNano(), g.To.UnixNano()); err != nil {
			return err
		}
	}
	for key, added := range e.Summaries {
		if err := f.add(ctx, key, added); err != nil {
			return err
		}
	}
	bare := rollup.Event{Stream: e.Stream, First: e.First, Last: e.Last, Until: e.Until, Batches: e.Batches}
	if _, err := f.tx.ExecContext(ctx, `INSERT OR REPLACE INTO events (sequence, until, data) VALUES (?, ?, ?)`,
		r.Sequence, e.Until.UnixNano(), rollup.Encode(bare)); err != nil {
		return err
	}
	f.last = &bare
	return f.closeDays(ctx, (rollup.HourOf(e.Until)-openHours)/hoursOfDay)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// add adds to an hour.
func (f *fold) add(ctx context.Context, key rollup.Key, added rollup.Summary) error {
	if key.Hour/hoursOfDay < f.closed {
		return f.addToDay(ctx, key, added)
	}
	s, known := f.open[key]
	if !known && !f.all {
		var data []byte
		err := f.tx.QueryRowContext(ctx, `SELECT data FROM hours WHERE check_id = ? AND region = ? AND hour = ?`,
			key.Check, key.Region, key.Hour).Scan(&data)
		if err == nil {
			s, _, err = rollup.DecodeSummary(data)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	s.Merge(added)
	f.open[key], f.changed[key] = s, true
	return nil
}

// closeDays moves the hours of the days before this one into the table of days.
func (f *fold) closeDays(ctx context.Context, day int64) error {
	if day <= f.closed {
		return nil
	}
	f.closed = day
	if err := f.load(ctx); err != nil {
		return err
	}
	keys := slices.SortedFunc(maps.Keys(f.open), func(a, b rollup.Key) int {
		return cmp.Or(cmp.Compare(a.Check, b.Check), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Hour, b.Hour))
	})
	insert, err := f.tx.PrepareContext(ctx,
		`INSERT OR REPLACE INTO days (check_id, region, day, data, hours) VALUES (?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for i := 0; i < len(keys); {
		first := keys[i]
		if first.Hour/hoursOfDay >= day {
			i++
			continue
		}
		var whole rollup.Summary
		var hours [hoursOfDay]rollup.Digest
		for ; i < len(keys) && sameDay(keys[i], first); i++ {
			s := f.open[keys[i]]
			whole.Merge(s)
			hours[keys[i].Hour%hoursOfDay] = s.Digest()
			delete(f.open, keys[i])
		}
		if _, err := insert.ExecContext(ctx, first.Check, first.Region, first.Hour/hoursOfDay,
			rollup.EncodeSummary(whole), rollup.EncodeDay(&hours)); err != nil {
			return err
		}
	}
	_, err = f.tx.ExecContext(ctx, `DELETE FROM hours WHERE hour < ?`, day*hoursOfDay)
	return err
}

func sameDay(a, b rollup.Key) bool {
	return a.Check == b.Check && a.Region == b.Region && a.Hour/hoursOfDay == b.Hour/hoursOfDay
}

// load reads the hours that this transaction has not read yet.
func (f *fold) load(ctx context.Context) error {
	if f.all {
		return nil
	}
	f.all = true
	rows, err := f.tx.QueryContext(ctx, `SELECT check_id, region, hour, data FROM hours`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key rollup.Key
		var data []byte
		if err := rows.Scan(&key.Check, &key.Region, &key.Hour, &data); err != nil {
			return err
		}
		if _, changed := f.open[key]; changed {
			continue
		}
		if f.open[key], _, err = rollup.DecodeSummary(data); err != nil {
			return err
		}
	}
	return rows.Err()
}

// addToDay adds to an hour of a day that is closed, which only a wall clock that was stepped back by days leads to. The
// day is exact; of the hour's quantiles, those of the larger part stay.
func (f *fold) addToDay(ctx context.Context, key rollup.Key, added rollup.Summary) error {
	var data, hours []byte
	err := f.tx.QueryRowContext(ctx, `SELECT data, hours FROM days WHERE check_id = ? AND region = ? AND day = ?`,
		key.Check, key.Region, key.Hour/hoursOfDay).Scan(&data, &hours)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var whole rollup.Summary
	if len(data) > 0 {
		if whole, _, err = rollup.DecodeSummary(data); err != nil {
			return err
		}
	}
	whole.Merge(added)
	var digests [hoursOfDay]rollup.Digest
	if len(hours) > 0 {
		if digests, err = rollup.DecodeDay(hours); err != nil {
			return err
		}
	}
	hour := key.Hour % hoursOfDay
	digests[hour] = digests[hour].Join(added.Digest())
	_, err = f.tx.ExecContext(ctx,
		`INSERT OR REPLACE INTO days (check_id, region, day, data, hours) VALUES (?, ?, ?, ?, ?)`,
		key.Check, key.Region, key.Hour/hoursOfDay, rollup.EncodeSummary(whole), rollup.EncodeDay(&digests))
	return err
}

// end writes the hours, and forgets events that nothing depends on any more.
func (f *fold) end(ctx context.Context, sequence uint64) error {
	insert, err := f.tx.PrepareContext(ctx,
		`INSERT OR REPLACE INTO hours (check_id, region, hour, data) VALUES (?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for key := range f.changed {
		s, is := f.open[key]
		if !is {
			continue // its day was closed
		}
		if _, err := insert.ExecContext(ctx, key.Check, key.Region, key.Hour, rollup.EncodeSummary(s)); err != nil {
			return err
		}
	}
	if f.last != nil {
		if _, err := f.tx.ExecContext(ctx, `DELETE FROM events WHERE until < ?
			AND sequence < (SELECT max(sequence) FROM events)`, f.last.Until.Add(-Kept).UnixNano()); err != nil {
			return err
		}
	}
	_, err = f.tx.ExecContext(ctx, `UPDATE meta SET sequence = ?, closed = ?`, sequence, f.closed)
	return err
}
