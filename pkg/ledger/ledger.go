// Package ledger is the durable order of events: catalogs, agents and transitions. The truth is a Log, a stream that is kept
// for years; beside it stands a view in SQLite, which is rebuilt from the log whenever it is missing or of another schema.
package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Entry is one event to append to a Log.
type Entry struct {
	Subject string // "catalog", "agent.<host>", "transition.<host>"
	ID      string // a repeat of it is dropped
	Data    []byte
}

// Record is one event of a Log.
type Record struct {
	Sequence uint64
	Time     time.Time
	Subject  string
	Data     []byte
}

// State is the extent of a Log.
type State struct {
	Created     time.Time // another time is another log
	First, Last uint64
}

// Log is the stream that the ledger is kept in.
type Log interface {
	// Append writes the events as one: all or none. What it already has is no error.
	Append(ctx context.Context, entries []Entry) error
	// Read hands the events from the sequence on to fn, in order, up to the present end.
	Read(ctx context.Context, from uint64, fn func(Record) error) error
	// State tells the extent of the log.
	State(ctx context.Context) (State, error)
}

// Ledger is the log with its view. It is safe for concurrent use.
type Ledger struct {
	log  Log
	view *view
	mu   sync.Mutex // one writer
}

// Open opens the view in the file, rebuilds it where it does not fit the log, and brings it up to the log's end.
func Open(ctx context.Context, file string, log Log) (*Ledger, error) {
	state, err := log.State(ctx)
	if err != nil {
		return nil, err
	}
	v, err := openView(ctx, file, state)
	if err != nil {
		return nil, fmt.Errorf("the ledger's view in %s: %w", file, err)
	}
	l := &Ledger{log: log, view: v}
	if err := l.catchUp(ctx); err != nil {
		v.db.Close()
		return nil, err
	}
	return l, nil
}

// Close closes the view.
func (l *Ledger) Close() error { return l.view.db.Close() }

// Event is what the ledger remembers: a CatalogEvent, an AgentEvent or a TransitionEvent.
type Event interface{ entry() (Entry, error) }

// CatalogEvent is a catalog that came into force.
type CatalogEvent struct {
	Source  string           `json:"source"` // the file, or who applied it
	Catalog *catalog.Catalog `json:"catalog"`
	Mesh    time.Time        `json:"mesh,omitzero"`    // mesh time; zero where an earlier version wrote it: the log's time
	Offset  time.Duration    `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds
}

// meshTime is the mesh time of an event that the log received at a time: its own, where it has one.
func meshTime(own, received time.Time) time.Time {
	if own.IsZero() {
		return received
	}
	return own
}

func (e CatalogEvent) entry() (Entry, error) {
	// The same catalog may come into force again after another.
	return encode("catalog", e.Catalog.Revision+"-"+rand.Text(), e)
}

// AgentEvent is an agent that was enrolled with a key, or whose key was revoked.
type AgentEvent struct {
	Host      string `json:"host"` // its key
	PublicKey string `json:"public_key"`
	Revoked   bool   `json:"revoked,omitempty"`

	Mesh time.Time `json:"mesh,omitzero"` // mesh time; zero where an earlier version wrote it: the log's time
}

func (e AgentEvent) entry() (Entry, error) {
	id := e.Host + "-" + e.PublicKey
	if e.Revoked {
		id += "-revoked"
	}
	return encode("agent."+e.Host, id, e)
}

// TransitionEvent is a transition that was published.
type TransitionEvent struct{ mesh.Transition }

func (e TransitionEvent) entry() (Entry, error) {
	// The time tells a repeat from what a stream of observations made anew says under the same id.
	return encode("transition."+mesh.Key(e.Host), fmt.Sprintf("t-%s-%d", e.ID, nanoseconds(e.Published)), e.Transition)
}

func encode(subject, id string, v any) (Entry, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Entry{}, fmt.Errorf("encode %s: %w", subject, err)
	}
	return Entry{Subject: subject, ID: id, Data: data}, nil
}

// Append writes the events to the log as one and takes them into the view.
func (l *Ledger) Append(ctx context.Context, events ...Event) error {
	entries := make([]Entry, len(events))
	for i, e := range events {
		var err error
		if entries[i], err = e.entry(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.log.Append(ctx, entries); err != nil {
		return err
	}
	return l.catchUp(ctx)
}

// Taken is the log's sequence up to which the view was brought.
func (l *Ledger) Taken(ctx context.Context) (uint64, error) { return l.view.sequence(ctx) }

// catchUp takes into the view what the log has and the view has not.
func (l *Ledger) catchUp(ctx context.Context) error {
	from, err := l.view.sequence(ctx)
	if err != nil {
		return err
	}
	tx, err := l.view.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	if err := l.log.Read(ctx, from+1, func(r Record) error { return tx.take(ctx, r) }); err != nil {
		return fmt.Errorf("bring the view up to the ledger: %w", err)
	}
	if err := tx.commit(); err != nil {
		return err
	}
	l.view.current = tx.current
	return nil
}
