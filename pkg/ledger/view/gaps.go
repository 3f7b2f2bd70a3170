package view

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// Losses is what the view remembers of messages that streams have lost.
type Losses struct {
	db      *sql.DB
	writing *sync.Mutex
}

// Losses returns the losses that the view remembers.
func (d database) Losses() Losses { return Losses(d) }

// Gaps returns what the streams have lost by damage, as far as it was found, oldest first.
func (l Losses) Gaps(ctx context.Context) ([]ledger.Gap, error) {
	rows, err := l.db.QueryContext(ctx,
		`SELECT stream, first, last, after, before, tail FROM gaps ORDER BY before, stream, first`)
	if err != nil {
		return nil, fmt.Errorf("read the gaps: %w", err)
	}
	defer rows.Close()
	var out []ledger.Gap
	for rows.Next() {
		var g ledger.Gap
		var after, before int64
		if err := rows.Scan(&g.Stream, &g.First, &g.Last, &after, &before, &g.Tail); err != nil {
			return nil, fmt.Errorf("read the gaps: %w", err)
		}
		if after != 0 {
			g.After = time.Unix(0, after).UTC()
		}
		g.Before = time.Unix(0, before).UTC()
		out = append(out, g)
	}
	return out, rows.Err()
}

// AddGaps records gaps. A gap that is known already stays as it is.
func (l Losses) AddGaps(ctx context.Context, gaps []ledger.Gap) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for _, g := range gaps {
		after := int64(0)
		if !g.After.IsZero() {
			after = nanoseconds(g.After)
		}
		_, err := l.db.ExecContext(ctx,
			`INSERT OR IGNORE INTO gaps (stream, first, last, after, before, tail) VALUES (?, ?, ?, ?, ?, ?)`,
			g.Stream, g.First, g.Last, after, nanoseconds(g.Before), g.Tail)
		if err != nil {
			return fmt.Errorf("record a gap: %w", err)
		}
	}
	return nil
}

// Head is how far a stream reaches.
type Head struct {
	Stream  string
	Created time.Time // identifies the stream: one that was created at another time is another stream
	Last    uint64    // sequence
	// Messages is how many there are, if nothing removes one without writing another; else 0.
	Messages uint64
}

// RecordHeads records how far the streams reach at a wall time, and returns those that reached further before: they
// have lost their ends. The ledger is left out: the view's own sequence is its head.
func (l Losses) RecordHeads(ctx context.Context, heads []Head, now time.Time) (lost []ledger.Gap, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	for _, h := range heads {
		if h.Stream == logName {
			continue
		}
		var created, last, messages, at int64
		row := l.db.QueryRowContext(ctx, `SELECT created, last, count, at FROM heads WHERE stream = ?`, h.Stream)
		switch err := row.Scan(&created, &last, &messages, &at); {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return nil, fmt.Errorf("read the streams' heads: %w", err)
		case created == h.Created.UnixNano() && uint64(last) > h.Last:
			lost = append(lost, ledger.Gap{
				Stream: h.Stream, First: h.Last + 1, Last: uint64(last), Before: time.Unix(0, at).UTC(), Tail: true,
			})
		case created == h.Created.UnixNano() && uint64(last) == h.Last && uint64(messages) > h.Messages:
			lost = append(lost, ledger.Gap{Stream: h.Stream, First: 1, Last: h.Last, Before: time.Unix(0, at).UTC()})
		}
		_, err := l.db.ExecContext(ctx, `INSERT OR REPLACE INTO heads (stream, created, last, count, at)
			VALUES (?, ?, ?, ?, ?)`, h.Stream, h.Created.UnixNano(), int64(h.Last), int64(h.Messages), nanoseconds(now))
		if err != nil {
			return nil, fmt.Errorf("record the streams' heads: %w", err)
		}
	}
	return lost, nil
}

// gapsToKeep returns the gaps that a view of the log must remember when it is created again: those that only the
// present file knows, and the end of the log if the log has lost it since. A file that cannot say is no error: it may
// be damaged, or of a version that recorded no gaps.
func gapsToKeep(ctx context.Context, v *View, log ledger.Log, state ledger.State) ([]ledger.Gap, error) {
	var created int64
	var sequence uint64
	err := v.db.QueryRowContext(ctx, `SELECT created, sequence FROM meta`).Scan(&created, &sequence)
	if err != nil || created != state.Created.UnixNano() {
		return nil, nil
	}
	gaps, err := v.Losses().Gaps(ctx)
	if err != nil {
		gaps = nil
	}
	var digest []byte
	known := v.db.QueryRowContext(ctx, `SELECT digest FROM meta`).Scan(&digest) == nil
	lost, err := lostEnd(ctx, log, state, sequence, digest, known)
	if lost != nil {
		gaps = append(gaps, *lost)
	}
	return gaps, err
}

// lostEnd returns the end that the log had when the view reached the sequence, if the log has lost it. A coordinator
// that starts writes its epoch before it opens the view, so the last record of the log may be that.
func lostEnd(
	ctx context.Context, log ledger.Log, state ledger.State, sequence uint64, digest []byte, known bool,
) (*ledger.Gap, error) {
	if sequence == 0 {
		return nil, nil
	}
	g := ledger.Gap{Stream: logName, First: max(min(sequence, state.Last), 1), Last: sequence, Tail: true,
		Before: time.Now()}
	if sequence <= state.Last {
		r, err := readOne(ctx, log, sequence)
		if err != nil {
			return nil, err
		}
		// Without the record, a gap in the middle of the log has it, which a reader of the whole log finds.
		if !known || r.Sequence != sequence || string(digestOf(r)) == string(digest) {
			return nil, nil
		}
		g.Before = r.Time
		return &g, nil // more than this record may be lost: when that began is unknown
	}
	for _, at := range []struct {
		sequence uint64
		into     *time.Time
	}{{g.First - 1, &g.After}, {g.First, &g.Before}} {
		if at.sequence == 0 || at.sequence > state.Last {
			continue
		}
		r, err := readOne(ctx, log, at.sequence)
		if err != nil {
			return nil, err
		}
		if r.Sequence != 0 {
			*at.into = r.Time
		}
	}
	return &g, nil
}

// logName is the name of the log's stream in gaps.
const logName = "LEDGER"

// readOne returns the log's first record at or after the sequence; a zero Record if there is none.
func readOne(ctx context.Context, log ledger.Log, sequence uint64) (found ledger.Record, err error) {
	done := errors.New("done")
	err = log.Read(ctx, sequence, func(r ledger.Record) error {
		found = r
		return done
	})
	if errors.Is(err, done) {
		err = nil
	}
	return found, err
}

// digestOf identifies a record's content.
func digestOf(r ledger.Record) []byte {
	sum := sha256.Sum256([]byte(r.Subject + "\x00" + string(r.Data)))
	return sum[:]
}
