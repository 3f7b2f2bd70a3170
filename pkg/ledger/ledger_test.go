package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// log is a Log in memory that counts how often it is read.
type log struct {
	records []ledger.Record
	known   map[string]bool
	reads   int
}

func (l *log) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	for _, e := range entries {
		if l.known[e.ID] {
			return 0, nil
		}
	}
	for _, e := range entries {
		l.known[e.ID] = true
		l.records = append(l.records, ledger.Record{Sequence: uint64(len(l.records)) + 1, Subject: e.Subject, Data: e.Data})
	}
	return uint64(len(l.records)), nil
}

func (l *log) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	l.reads++
	for _, r := range l.records[from-1:] {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) State(context.Context) (ledger.State, error) {
	return ledger.State{First: 1, Last: uint64(len(l.records))}, nil
}

// projection remembers the sequences that it applied.
type projection struct {
	applied []uint64
	failing error
}

func (p *projection) Sequence(context.Context) (uint64, error) { return uint64(len(p.applied)), nil }

func (p *projection) Apply(_ context.Context, read func(func(ledger.Record) error) error) error {
	if p.failing != nil {
		return p.failing
	}
	return read(func(r ledger.Record) error {
		p.applied = append(p.applied, r.Sequence)
		return nil
	})
}

func transition(id string) ledger.TransitionEvent {
	return ledger.TransitionEvent{Transition: mesh.Transition{ID: id, Host: "NC036", Published: time.Unix(10, 0)}}
}

func openLedger(t *testing.T) (*ledger.Ledger, *log, *projection) {
	t.Helper()
	l, p := &log{known: map[string]bool{}}, &projection{}
	led, err := ledger.Open(t.Context(), l, p)
	if err != nil {
		t.Fatal(err)
	}
	return led, l, p
}

// The log's answer says which sequences the events have, so nothing is read back.
func TestAppendDoesNotReadItsOwnEvents(t *testing.T) {
	led, l, p := openLedger(t)
	opened := l.reads
	for _, events := range [][]ledger.Event{{transition("1")}, {transition("2"), transition("3")}, {}} {
		if err := led.Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	if l.reads != opened || !slices.Equal(p.applied, []uint64{1, 2, 3}) {
		t.Errorf("read the log %d times, applied %v", l.reads-opened, p.applied)
	}
}

func TestAppendCatchesUpWithWhatItDidNotWrite(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *ledger.Ledger, *log, *projection){
		"another writer": func(t *testing.T, _ *ledger.Ledger, l *log, _ *projection) {
			if _, err := l.Append(t.Context(), []ledger.Entry{{ID: "other"}}); err != nil {
				t.Fatal(err)
			}
		},
		"a projection that failed": func(t *testing.T, led *ledger.Ledger, _ *log, p *projection) {
			p.failing = errors.New("disk full")
			if err := led.Append(t.Context(), transition("1")); !errors.Is(err, p.failing) {
				t.Fatal(err)
			}
			p.failing = nil
		},
		"a repeat of that": func(t *testing.T, led *ledger.Ledger, _ *log, p *projection) {
			p.failing = errors.New("disk full")
			if err := led.Append(t.Context(), transition("2")); !errors.Is(err, p.failing) {
				t.Fatal(err)
			}
			p.failing = nil
			if err := led.Append(t.Context(), transition("2")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			led, l, p := openLedger(t)
			before(t, led, l, p)
			if err := led.Append(t.Context(), transition("2")); err != nil {
				t.Fatal(err)
			}
			if n := len(l.records); len(p.applied) != n || p.applied[n-1] != uint64(n) {
				t.Errorf("applied %v of %d records", p.applied, n)
			}
		})
	}
}

// What an event means must not depend on when the log received it, since Append does not learn that.
func TestAppendRefusesEventsWithoutMeshTime(t *testing.T) {
	led, l, _ := openLedger(t)
	if err := led.Append(t.Context(), ledger.AgentEvent{Host: "nc036", PublicKey: "K"}); err == nil || len(l.records) > 0 {
		t.Errorf("accepted: %v", err)
	}
}
