package ledger

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// schemaVersion changes with schema.sql and with what is derived from events: a view of another version is rebuilt. 5
// writes the sentences of transitions and incidents anew, without any text of agents.
const schemaVersion = 5

//go:embed schema.sql
var schema string

// view is the SQL view of the log: rows, plus which log it is and how far it was read.
type view struct {
	db      *sql.DB
	current *catalog.Catalog // in force at the last committed event, for the one writer; nil: not read yet
}

// openView opens the file, or makes it anew where it is no view of this log.
func openView(ctx context.Context, file string, state State) (*view, error) {
	v, err := connect(ctx, file)
	if err == nil {
		if err = v.fits(ctx, state); err == nil {
			return v, nil
		}
		v.db.Close()
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if v, err = connect(ctx, file); err != nil {
		return nil, err
	}
	if _, err = v.db.ExecContext(ctx, schema); err == nil {
		_, err = v.db.ExecContext(ctx, `INSERT INTO meta (version, created, sequence) VALUES (?, ?, 0)`, schemaVersion, state.Created.UnixNano())
	}
	if err != nil {
		v.db.Close()
		return nil, err
	}
	return v, nil
}

func connect(ctx context.Context, file string) (*view, error) {
	// The view is disposable, so that it need not be synced: after a power cut it is rebuilt.
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return &view{db: db}, nil
}

var errOther = errors.New("the view is of another schema, another log, or has a hole")

// fits reports whether the view was made from this log by this schema and can be continued.
func (v *view) fits(ctx context.Context, state State) error {
	var version int
	var created int64
	var sequence uint64
	err := v.db.QueryRowContext(ctx, `SELECT version, created, sequence FROM meta`).Scan(&version, &created, &sequence)
	if err != nil {
		return err
	}
	if err := v.sound(ctx); err != nil {
		return err
	}
	if version != schemaVersion || created != state.Created.UnixNano() || sequence > state.Last || state.First > sequence+1 {
		return errOther
	}
	return nil
}

// sound reports what is broken in the file, if anything is.
func (v *view) sound(ctx context.Context) error {
	var word string
	if err := v.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&word); err != nil {
		return err
	}
	if word != "ok" {
		return errors.New(word)
	}
	return nil
}

func (v *view) sequence(ctx context.Context) (n uint64, err error) {
	if err = v.db.QueryRowContext(ctx, `SELECT sequence FROM meta`).Scan(&n); err != nil {
		err = fmt.Errorf("how far the view is: %w", err)
	}
	return n, err
}

// writing is one transaction that takes events.
type writing struct {
	tx      *sql.Tx
	last    uint64
	current *catalog.Catalog // in force at the last event; nil: not read yet
}

func (v *view) begin(ctx context.Context) (*writing, error) {
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("write the view: %w", err)
	}
	return &writing{tx: tx, current: v.current}, nil
}

func (w *writing) rollback() { _ = w.tx.Rollback() }

func (w *writing) commit() error {
	if w.last == 0 {
		return nil
	}
	if _, err := w.tx.Exec(`UPDATE meta SET sequence = ?`, w.last); err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	if err := w.tx.Commit(); err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	return nil
}

// nanoseconds is the time since 1970, at most what fits: readers may ask for any time.
func nanoseconds(t time.Time) int64 {
	switch year := t.UTC().Year(); {
	case year < 1970:
		return 0
	case year >= 2262:
		return math.MaxInt64
	}
	return t.UnixNano()
}
