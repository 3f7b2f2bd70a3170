package latency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// LossesReach is how far back Losses reaches.
const LossesReach = 15 * time.Minute

// Loss is how many probes of a check a vantage sent in a period, and how many of them were lost.
type Loss struct {
	Check, Vantage string // internal ids
	Sent, Lost     uint64
}

// pair is a check as a vantage sees it.
type pair struct{ check, vantage string }

// lossMinute is a minute of a pair.
type lossMinute struct {
	minute     int64
	sent, lost uint64
}

// lossCounts are the losses of the last minutes that are in the file. The file has the minutes of a pair together:
// it takes a third of a second to find the last ones of thirty thousand pairs. A pair takes some 400 bytes.
type lossCounts struct {
	counting sync.Mutex // held by the reader that reads the file
	// of is nil before the first question, and after an error: then the next reader reads the file again. The mutex of
	// the tail guards it.
	of map[pair][]lossMinute
}

// Losses returns the losses of each pair in a period of the last LossesReach, in no order. The period is counted in
// whole minutes. The first call reads the file.
func (s *Store) Losses(ctx context.Context, from, to time.Time) ([]Loss, error) {
	if err := s.readLosses(ctx, to); err != nil {
		return nil, fmt.Errorf("read the losses of the last minutes: %w", err)
	}
	first, end := rollup.MinuteOf(from), rollup.MinuteOf(to.Add(time.Minute-1))
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.losses.of == nil {
		return nil, errForgotten
	}
	pending := map[pair]lossMinute{} // of all minutes
	s.eachMinute(func(k rollup.MinuteKey, part rollup.Summary) {
		if of, m := lossOf(k, part); m.minute >= first && m.minute < end {
			pending[of] = lossMinute{sent: pending[of].sent + m.sent, lost: pending[of].lost + m.lost}
		}
	})
	out := make([]Loss, 0, len(s.losses.of))
	for of, minutes := range s.losses.of {
		sum, known := pending[of]
		delete(pending, of)
		for _, m := range minutes {
			if m.minute >= first && m.minute < end {
				sum.sent, sum.lost, known = sum.sent+m.sent, sum.lost+m.lost, true
			}
		}
		if known {
			out = append(out, Loss{of.check, of.vantage, sum.sent, sum.lost})
		}
	}
	for of, sum := range pending { // pairs of which the file has nothing
		out = append(out, Loss{of.check, of.vantage, sum.sent, sum.lost})
	}
	return out, nil
}

var errForgotten = errors.New("the minutes changed while their losses were read")

func lossOf(k rollup.MinuteKey, part rollup.Summary) (pair, lossMinute) {
	return pair{k.Check, k.Vantage}, lossMinute{k.Minute, part.Sent, part.Lost}
}

// readLosses reads the losses from the file if they are not known.
func (s *Store) readLosses(ctx context.Context, now time.Time) error {
	s.losses.counting.Lock()
	defer s.losses.counting.Unlock()
	s.mu.Lock()
	if s.losses.of != nil {
		s.mu.Unlock()
		return nil
	}
	first := rollup.MinuteOf(now.Add(-LossesReach))
	// The rows are those of now: with the first one read, SQLite shows no later change. What is stored while the others
	// are read is counted beside them.
	rows, err := s.db.QueryContext(ctx, `SELECT check_id, vantage, hour, data FROM minutes WHERE hour >= ?`,
		first/minutesOfHour)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	defer rows.Close()
	more := rows.Next()
	s.losses.of = map[pair][]lossMinute{}
	s.mu.Unlock()
	read, err := readLossRows(rows, more, first)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.losses.of = nil
		return err
	}
	if s.losses.of == nil {
		return errForgotten // what was read may not be in the file any more
	}
	for of, minutes := range s.losses.of {
		for _, m := range minutes {
			read.add(of, m)
		}
	}
	s.losses.of = read.of
	return nil
}

// readLossRows reads rows of the table of minutes; more says that there is one.
func readLossRows(rows *sql.Rows, more bool, first int64) (*lossCounts, error) {
	out := &lossCounts{of: map[pair][]lossMinute{}}
	for ; more; more = rows.Next() {
		var k rollup.MinuteKey
		var hour int64
		var data sql.RawBytes
		if err := rows.Scan(&k.Check, &k.Vantage, &hour, &data); err != nil {
			return nil, err
		}
		began := hour * minutesOfHour
		if err := eachMinuteOf(data, first-began, minutesOfHour, func(n int64, part rollup.Summary) {
			k.Minute = began + n
			out.add(lossOf(k, part))
		}); err != nil {
			return nil, err
		}
	}
	return out, rows.Err()
}

func (l *lossCounts) add(of pair, m lossMinute) {
	minutes := l.of[of]
	i := slices.IndexFunc(minutes, func(o lossMinute) bool { return o.minute == m.minute })
	if i < 0 {
		l.of[of] = append(minutes, m)
		return
	}
	minutes[i].sent += m.sent
	minutes[i].lost += m.lost
}

// stored adds minutes that are in the file now, and removes those before the first one. The caller holds the mutex of
// the tail.
func (l *lossCounts) stored(parts map[rollup.MinuteKey]rollup.Summary, first int64) {
	if l.of == nil {
		return
	}
	for k, part := range parts {
		if k.Minute >= first {
			l.add(lossOf(k, part))
		}
	}
	for of, minutes := range l.of {
		minutes = slices.DeleteFunc(minutes, func(m lossMinute) bool { return m.minute < first })
		if l.of[of] = minutes; len(minutes) == 0 {
			delete(l.of, of)
		}
	}
}

// forget makes the next reader read the file again. The caller holds the mutex of the tail.
func (l *lossCounts) forget() { l.of = nil }
