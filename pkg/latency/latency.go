// Package latency stores round-trip times and counts of outcomes in a SQLite file and answers queries: of each check
// and region by hour and day for years, folded from the events of the stream ROLLUP; of each check and vantage by
// minute for two days, folded from the stream of observations. The file is disposable: Open empties one that it cannot
// continue, and both streams fill it again.
//
// Tail holds what is in neither yet, so that a query reaches to the present.
package latency

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/rollup"
	"github.com/probemesh/probemesh/pkg/sqlitefile"
)

// schemaVersion changes with schema.sql and with what is derived from events, so that older files are filled again. 2
// stores minutes in fewer pages.
const schemaVersion = 2

//go:embed schema.sql
var schema string

const (
	// Kept is how long minutes are kept, and how old an observation may be when it arrives.
	Kept = 48 * time.Hour
	// openHours is how long after an hour a later event may add to it: what arrives is at most two days old. An hour
	// more allows for a wall clock that is adjusted.
	openHours     = int64(Kept/time.Hour) + 2
	hoursOfDay    = rollup.HoursOfDay
	minutesOfHour = 60
)

// Store is the file. It is safe for concurrent use by readers and one writer.
type Store struct {
	Tail
	db     *sql.DB
	recent recentHours
	losses lossCounts
}

// Open opens the file, and creates it again if it is damaged or of another schema. If ctx ends meanwhile, the file
// stays as it was, and the next start continues.
func Open(ctx context.Context, file string) (*Store, error) {
	s, err := connect(ctx, file)
	if err == nil {
		if err = s.check(ctx); err == nil {
			// A file of an earlier version has no such index. Without it, as on a full disk, queries only take longer.
			_, _ = s.db.ExecContext(ctx, `CREATE INDEX IF NOT EXISTS minutes_by_hour ON minutes (hour)`)
			return s, nil
		}
		s.db.Close()
	}
	if ctx.Err() != nil { // that says nothing about the file
		return nil, fmt.Errorf("open the latency file %s: %w", file, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("create the latency file %s: %w", file, err)
		}
	}
	if s, err = connect(ctx, file); err != nil {
		return nil, fmt.Errorf("create the latency file %s: %w", file, err)
	}
	if _, err = s.db.ExecContext(ctx, schema); err == nil {
		_, err = s.db.ExecContext(ctx, `INSERT INTO meta (version, created, sequence, closed, observed, minutes)
			VALUES (?, 0, 0, 0, 0, 0)`, schemaVersion)
	}
	if err != nil {
		s.db.Close()
		return nil, fmt.Errorf("create the latency file %s: %w", file, err)
	}
	return s, nil
}

func connect(ctx context.Context, file string) (*Store, error) {
	if err := privatefile.Create(file); err != nil {
		return nil, err
	}
	db, err := sqlitefile.Open(ctx, file, "") // what a power cut takes is read from the streams again
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// OpenPast opens the file as the last program left it. It needs no disk space, and only queries may be used.
func OpenPast(ctx context.Context, file string) (*Store, error) {
	db, err := sqlitefile.OpenPast(ctx, file)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db}
	if err := s.check(ctx); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("open the latency file %s: %w", file, err)
	}
	return s, nil
}

// check returns an error if the file cannot be continued. It does not read all of it, which would take a second for
// every 100 MB.
func (s *Store) check(ctx context.Context) error {
	var version int
	if err := s.db.QueryRowContext(ctx, `SELECT version FROM meta`).Scan(&version); err != nil {
		return err
	}
	if version != schemaVersion {
		return errors.New("another schema")
	}
	_, err := s.Events(ctx)
	return err
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Progress is how far the file reaches.
type Progress struct {
	Created  time.Time // of the stream ROLLUP
	Sequence uint64    // of its last record that was applied
	Observed int64     // identifies the stream of observations that Minutes is a sequence of
	Minutes  uint64    // the last sequence whose observations are in the minutes
}

// Progress returns how far the file reaches.
func (s *Store) Progress(ctx context.Context) (p Progress, err error) {
	var created int64
	err = s.db.QueryRowContext(ctx, `SELECT created, sequence, observed, minutes FROM meta`).
		Scan(&created, &p.Sequence, &p.Observed, &p.Minutes)
	if err != nil {
		return p, fmt.Errorf("read the progress of the latency file: %w", err)
	}
	p.Created = time.Unix(0, created)
	return p, nil
}

// Events returns the events of the last two days, oldest first, without their summaries.
func (s *Store) Events(ctx context.Context) (out []rollup.Event, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT data FROM events ORDER BY sequence`)
	if err != nil {
		return nil, fmt.Errorf("read the events of the latency file: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return nil, fmt.Errorf("read the events of the latency file: %w", err)
		}
		e, err := rollup.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("read the events of the latency file: %w", err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// Follow empties the hours and days unless they come from the stream that was created then and has the sequence.
func (s *Store) Follow(ctx context.Context, created time.Time, last uint64) error {
	p, err := s.Progress(ctx)
	if err != nil || p.Created.Equal(created) && p.Sequence <= last {
		return err
	}
	return s.write(ctx, s.recent.forget, func(tx *sql.Tx) error {
		for _, table := range []string{"events", "hours", "days", "gaps"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE meta SET created = ?, sequence = 0, closed = 0`, created.UnixNano())
		return err
	})
}

// write runs fn in a transaction, and then stored, which removes from the tail what the file has now. No query reads in
// between: it finds an observation here or there.
func (s *Store) write(ctx context.Context, stored func(), fn func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write the latency file: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := fn(tx); err != nil {
		return fmt.Errorf("write the latency file: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := tx.Commit(); err != nil {
		s.recent.forget() // a disk's error does not say whether the file has it
		s.losses.forget()
		return fmt.Errorf("write the latency file: %w", err)
	}
	stored()
	return nil
}
