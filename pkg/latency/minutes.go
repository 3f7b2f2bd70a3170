package latency

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// FollowMinutes removes the minutes unless they come from the stream of observations with the id.
func (s *Store) FollowMinutes(ctx context.Context, stream int64) error {
	p, err := s.Progress(ctx)
	if err != nil || p.Observed == stream {
		return err
	}
	return s.write(ctx, func() {}, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM minutes`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE meta SET observed = ?, minutes = 0`, stream)
		return err
	})
}

// StoreMinutes stores the minutes of the tail, which come from observations up to the sequence, and removes those that
// are too old. It is called with the time by the wall clock and mesh time. After an error the caller must Reset the
// tail.
func (s *Store) StoreMinutes(ctx context.Context, through uint64, wall, mesh time.Time) error {
	rows := map[rollup.MinuteKey][]byte{} // the minute is the first of its hour
	for k, summary := range s.cutMinutes(mesh) {
		hour := rollup.MinuteKey{Minute: k.Minute - k.Minute%minutesOfHour, Check: k.Check, Vantage: k.Vantage}
		data := binary.AppendUvarint(rows[hour], uint64(k.Minute%minutesOfHour))
		rows[hour] = append(data, rollup.EncodeSummary(summary)...)
	}
	oldest := rollup.HourOf(wall.Add(-Kept))
	return s.write(ctx, func() { s.storing = nil; s.forget(wall.Add(-Kept)) }, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO minutes (check_id, vantage, hour, data)
			VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET data = CAST(data || excluded.data AS BLOB)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for k, data := range rows {
			if hour := k.Minute / minutesOfHour; hour >= oldest {
				if _, err := insert.ExecContext(ctx, k.Check, k.Vantage, hour, data); err != nil {
					return err
				}
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM minutes WHERE hour < ?`, oldest); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE meta SET minutes = ?`, int64(through))
		return err
	})
}

// Minute is what a vantage observed of a check in one minute.
type Minute struct {
	At time.Time // its beginning, by the wall clock
	rollup.Digest
}

// Minutes returns the minutes of a period, oldest first, in which the vantage observed the check. Both are internal
// ids.
// The file has those of the last two days.
func (s *Store) Minutes(ctx context.Context, check, vantage string, from, to time.Time) ([]Minute, error) {
	found := map[int64]rollup.Summary{}
	err := s.eachStoredMinute(ctx, check, vantage, from, to, func(k rollup.MinuteKey, part rollup.Summary) {
		whole := found[k.Minute]
		whole.Merge(part)
		found[k.Minute] = whole
	})
	if err != nil {
		return nil, err
	}
	out := make([]Minute, 0, len(found))
	for _, n := range slices.Sorted(maps.Keys(found)) {
		out = append(out, Minute{time.Unix(n*60, 0).UTC(), found[n].Digest()})
	}
	return out, nil
}

// Pair is what a vantage observed of a check in a period.
type Pair struct {
	Check, Vantage string // internal ids
	rollup.Digest
}

// Pairs returns what each vantage observed of a check, or for "" of every check, in a period of the last two days. The
// period is counted in whole minutes.
func (s *Store) Pairs(ctx context.Context, check string, from, to time.Time) ([]Pair, error) {
	type pair struct{ check, vantage string }
	found := map[pair]*rollup.Summary{}
	var last pair
	var whole *rollup.Summary // of the last pair: the minutes of an hour follow each other
	err := s.eachStoredMinute(ctx, check, "", from, to, func(k rollup.MinuteKey, part rollup.Summary) {
		if of := (pair{k.Check, k.Vantage}); whole == nil || of != last {
			if whole = found[of]; whole == nil {
				whole = &rollup.Summary{}
				found[of] = whole
			}
			last = of
		}
		whole.Merge(part)
	})
	if err != nil {
		return nil, err
	}
	out := make([]Pair, 0, len(found))
	for p, summary := range found {
		out = append(out, Pair{p.check, p.vantage, summary.Digest()})
	}
	slices.SortFunc(out, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Check, b.Check), cmp.Compare(a.Vantage, b.Vantage))
	})
	return out, nil
}

var errMinutes = errors.New("the minutes of an hour are damaged")

// eachStoredMinute calls fn with the parts of the minutes of a period, of one check or any (""), from one vantage or
// any.
func (s *Store) eachStoredMinute(
	ctx context.Context, check, vantage string, from, to time.Time, fn func(rollup.MinuteKey, rollup.Summary),
) error {
	first, end := rollup.MinuteOf(from), rollup.MinuteOf(to.Add(time.Minute-1))
	within := func(k rollup.MinuteKey, part rollup.Summary) {
		if k.Minute >= first && k.Minute < end && (check == "" || k.Check == check) &&
			(vantage == "" || k.Vantage == vantage) {
			fn(k, part)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	query, args := `SELECT check_id, vantage, hour, data FROM minutes WHERE hour BETWEEN ? AND ?`,
		[]any{first / minutesOfHour, (end - 1) / minutesOfHour}
	if check != "" {
		query, args = query+` AND check_id = ?`, append(args, check)
	}
	if vantage != "" {
		query, args = query+` AND vantage = ?`, append(args, vantage)
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read minutes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k rollup.MinuteKey
		var hour int64
		var data sql.RawBytes
		if err := rows.Scan(&k.Check, &k.Vantage, &hour, &data); err != nil {
			return fmt.Errorf("read minutes: %w", err)
		}
		began := hour * minutesOfHour
		if err := eachMinuteOf(data, first-began, end-began, func(n int64, part rollup.Summary) {
			k.Minute = began + n
			fn(k, part)
		}); err != nil {
			return fmt.Errorf("read minutes: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read minutes: %w", err)
	}
	s.eachMinute(within)
	return nil
}

// eachMinuteOf calls fn with the minutes of an hour from the first one to before the end.
func eachMinuteOf(data []byte, first, end int64, fn func(n int64, part rollup.Summary)) error {
	for len(data) > 0 {
		n, size := binary.Uvarint(data)
		if size <= 0 || n >= minutesOfHour {
			return errMinutes
		}
		data = data[size:]
		var err error
		if int64(n) < first || int64(n) >= end {
			data, err = rollup.SkipSummary(data)
		} else {
			var part rollup.Summary
			if part, data, err = rollup.DecodeSummary(data); err == nil {
				fn(int64(n), part)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
