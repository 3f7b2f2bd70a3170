package latency

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// FollowMinutes removes the minutes unless they come from the stream of observations with the id.
func (s *Store) FollowMinutes(ctx context.Context, stream int64) error {
	p, err := s.Progress(ctx)
	if err != nil || p.Observed == stream {
		return err
	}
	return s.write(ctx, s.losses.forget, func(tx *sql.Tx) error {
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
	stored := func() {
		s.losses.stored(s.storing, rollup.MinuteOf(wall.Add(-LossesReach)))
		s.storing = nil
		s.forget(wall.Add(-Kept))
	}
	return s.write(ctx, stored, func(tx *sql.Tx) error {
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

// Minutes returns what vantages together observed of a check in a period, oldest first; a step without any observation
// is missing. The check and the vantages are internal ids. The file has the minutes of the last two days.
func (s *Store) Minutes(ctx context.Context, check string, vantages []string, p Period) ([]Point, error) {
	first, step := rollup.MinuteOf(p.From), max(1, int64(p.Step/time.Minute))
	found := map[int64]rollup.Summary{}
	err := s.eachMinuteOfCheck(ctx, check, vantages, p, func(minute int64, part rollup.Summary) {
		n := (minute - first) / step
		whole := found[n]
		whole.Merge(part)
		found[n] = whole
	})
	if err != nil {
		return nil, err
	}
	out := make([]Point, 0, len(found))
	for _, n := range slices.Sorted(maps.Keys(found)) {
		out = append(out, Point{time.Unix((first+n*step)*60, 0).UTC(), found[n].Digest()})
	}
	return out, nil
}

var errMinutes = errors.New("the minutes of an hour are damaged")

// eachMinuteOfCheck calls fn with the parts of the minutes of a period in which the vantages observed the check. A
// region of a large mesh has a hundred vantages, few of which observe it: they are asked for together.
func (s *Store) eachMinuteOfCheck(
	ctx context.Context, check string, vantages []string, p Period, fn func(minute int64, part rollup.Summary),
) error {
	if len(vantages) == 0 {
		return nil
	}
	first, end := rollup.MinuteOf(p.From), rollup.MinuteOf(p.To.Add(time.Minute-1))
	args := []any{check, first / minutesOfHour, (end - 1) / minutesOfHour}
	for _, vantage := range vantages {
		args = append(args, vantage)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows, err := s.db.QueryContext(ctx, `SELECT hour, data FROM minutes
		WHERE check_id = ? AND hour BETWEEN ? AND ? AND vantage IN (?`+strings.Repeat(", ?", len(vantages)-1)+`)`,
		args...)
	if err != nil {
		return fmt.Errorf("read minutes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var hour int64
		var data sql.RawBytes
		if err := rows.Scan(&hour, &data); err != nil {
			return fmt.Errorf("read minutes: %w", err)
		}
		began := hour * minutesOfHour
		if err := eachMinuteOf(data, first-began, end-began, func(n int64, part rollup.Summary) {
			fn(began+n, part)
		}); err != nil {
			return fmt.Errorf("read minutes: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read minutes: %w", err)
	}
	s.eachMinuteOf(check, vantages, first, end, fn)
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
