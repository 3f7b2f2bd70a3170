package webtest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// Library is an archive of posts that a test publishes, in a ledger of its own.
type Library struct {
	web.Archive
	t      testing.TB
	ledger *ledger.Ledger
	log    *libraryLog
}

// NewLibrary returns a library without posts.
func NewLibrary(t testing.TB) *Library {
	t.Helper()
	log := &libraryLog{texts: map[string][]byte{}}
	v, err := view.Open(t.Context(), filepath.Join(t.TempDir(), "library.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	led, err := ledger.Open(t.Context(), log, v)
	if err != nil {
		t.Fatal(err)
	}
	return &Library{v.Archive(), t, led, log}
}

// Write appends an event with a text.
func (l *Library) Write(e ledger.PostEvent, title, body string) {
	l.t.Helper()
	if e.Action == "" {
		e.Action = ledger.PostPublished
	}
	if e.Action != ledger.PostRemoved {
		data, hash, err := ledger.SealText(ledger.Text{Title: title, Body: body})
		if err != nil {
			l.t.Fatal(err)
		}
		e.Text = &ledger.TextRef{ID: fmt.Sprintf("text%d", len(l.log.texts)), Hash: hash}
		l.log.texts[e.Text.ID] = data
	}
	e.Event = fmt.Sprintf("event%d", len(l.log.records))
	if err := l.ledger.Append(l.t.Context(), e); err != nil {
		l.t.Fatal(err)
	}
}

// libraryLog is a ledger.Log in memory, with the texts of posts.
type libraryLog struct {
	records []ledger.Record
	texts   map[string][]byte
}

func (l *libraryLog) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	for _, e := range entries {
		l.records = append(l.records, ledger.Record{
			Sequence: uint64(len(l.records)) + 1, Time: time.Unix(1, 0), Subject: e.Subject, Data: e.Data,
		})
	}
	return uint64(len(l.records)), nil
}

func (l *libraryLog) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	for _, r := range l.records {
		if r.Sequence >= from {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *libraryLog) State(context.Context) (ledger.State, error) {
	return ledger.State{Created: time.Unix(1, 0), First: 1, Last: uint64(len(l.records))}, nil
}

func (l *libraryLog) Text(_ context.Context, id string) ([]byte, error) {
	if data, ok := l.texts[id]; ok {
		return data, nil
	}
	return nil, ledger.ErrNoText
}

// empty is an archive without entries.
type empty struct{}

func (empty) Find(context.Context, archive.Query, archive.Readers) (p archive.Page, err error) {
	return p, nil
}

func (empty) Between(context.Context, time.Time, time.Time, archive.Readers) ([]archive.Entry, error) {
	return nil, nil
}

func (empty) Latest(context.Context, archive.Query, archive.Readers, int) ([]archive.Entry, error) {
	return nil, nil
}

func (empty) Entry(context.Context, archive.Kind, string, archive.Readers) (e archive.Entry, ok bool, err error) {
	return e, false, nil
}
func (empty) Paths(context.Context, archive.Readers, int) ([]string, error)        { return nil, nil }
func (empty) Months(context.Context, archive.Readers) ([]archive.Count, error)     { return nil, nil }
func (empty) Tags(context.Context, archive.Readers) ([]archive.Count, error)       { return nil, nil }
func (empty) Categories(context.Context, archive.Readers) ([]archive.Count, error) { return nil, nil }
func (empty) Gone(context.Context, string) (bool, error)                           { return false, nil }
func (empty) AtPermalink(context.Context, string) (string, error)                  { return "", nil }
