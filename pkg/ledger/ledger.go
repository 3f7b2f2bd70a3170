// Package ledger appends events to the durable order of what a coordinator decided: which catalogs were in force,
// whose agents were admitted, which transitions were published. The order is a Log, a stream that is kept for years.
// A Projection beside it, package view, folds the events into rows that can be queried; the ledger brings it up to
// date before Append returns, so that a reader sees what was written as soon as the writer was answered.
//
// Use Open, then Append.
package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Entry is one encoded event for a Log to append.
type Entry struct {
	Subject string // "catalog", "agent.<host>", "transition.<host>"
	ID      string // the log stores an id once: a repeated entry is dropped
	Data    []byte
}

// Record is one stored event of a Log.
type Record struct {
	Sequence uint64
	Time     time.Time // when the log received it; zero if the ledger has just appended it
	Subject  string
	Data     []byte
}

// State is the extent of a Log.
type State struct {
	Created     time.Time // identifies the log: a log that was created at another time is another log
	First, Last uint64
}

// Log is the stream that stores the events.
type Log interface {
	// Append stores the entries atomically: all or none, with consecutive sequences. It returns the sequence of the
	// last one, or 0 and no error if the log already has them.
	Append(ctx context.Context, entries []Entry) (last uint64, err error)
	// Read calls fn with the records from the sequence on, in order, up to the present end. It returns fn's first
	// error.
	Read(ctx context.Context, from uint64, fn func(Record) error) error
	// State returns the extent of the log.
	State(ctx context.Context) (State, error)
}

// Projection is what is folded from the log's records.
type Projection interface {
	// Sequence returns the sequence of the last record that was applied, 0 before the first.
	Sequence(ctx context.Context) (uint64, error)
	// Apply passes apply to read, which calls it with records in order. All of them are applied, or, after an error,
	// none.
	Apply(ctx context.Context, read func(apply func(Record) error) error) error
}

// Ledger appends events to a log and keeps a projection up with it. It is safe for concurrent use.
type Ledger struct {
	log        Log
	projection Projection
	mu         sync.Mutex // one writer: the projection applies events in the log's order
}

// Open brings the projection up to the end of the log.
func Open(ctx context.Context, log Log, p Projection) (*Ledger, error) {
	l := &Ledger{log: log, projection: p}
	from, err := p.Sequence(ctx)
	if err != nil {
		return nil, err
	}
	return l, l.catchUp(ctx, from)
}

// Append writes the events to the log, all or none, and applies them to the projection. After an error it may be
// called again with the same events: what the log already has is not written twice.
func (l *Ledger) Append(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	entries := make([]Entry, len(events))
	for i, e := range events {
		var err error
		if entries[i], err = e.entry(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last, err := l.log.Append(ctx, entries)
	if err != nil {
		return err
	}
	applied, err := l.projection.Sequence(ctx)
	if err != nil {
		return err
	}
	if last != applied+uint64(len(entries)) {
		// The log has records that the projection lacks: another coordinator's, or those of an Append that failed
		// half-way.
		return l.catchUp(ctx, applied)
	}
	return l.projection.Apply(ctx, func(apply func(Record) error) error {
		for i, e := range entries {
			if err := apply(Record{Sequence: applied + 1 + uint64(i), Subject: e.Subject, Data: e.Data}); err != nil {
				return err
			}
		}
		return nil
	})
}

// catchUp applies the log's records after the sequence.
func (l *Ledger) catchUp(ctx context.Context, applied uint64) error {
	err := l.projection.Apply(ctx, func(apply func(Record) error) error { return l.log.Read(ctx, applied+1, apply) })
	if err != nil {
		return fmt.Errorf("bring the view up to the ledger: %w", err)
	}
	return nil
}
