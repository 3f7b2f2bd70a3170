package ledger_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// log is a Log in memory.
type log struct {
	created time.Time
	first   uint64
	records []ledger.Record
	known   map[string]bool
}

func newLog() *log { return &log{created: time.Unix(1, 0), first: 1, known: map[string]bool{}} }

func (l *log) Append(_ context.Context, entries []ledger.Entry) error {
	for _, e := range entries {
		if !l.known[e.ID] {
			l.known[e.ID] = true
			l.records = append(l.records, ledger.Record{Sequence: uint64(len(l.records)) + 1, Time: time.Unix(100+int64(len(l.records)), 0), Subject: e.Subject, Data: e.Data})
		}
	}
	return nil
}

func (l *log) Read(_ context.Context, from uint64, fn func(ledger.Record) error) error {
	for _, r := range l.records {
		if r.Sequence >= max(from, l.first) {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *log) State(context.Context) (ledger.State, error) {
	return ledger.State{Created: l.created, First: l.first, Last: uint64(len(l.records))}, nil
}

func open(t *testing.T, file string, l *log) *ledger.Ledger {
	t.Helper()
	led, err := ledger.Open(t.Context(), file, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { led.Close() })
	return led
}

func transition(id, host, check string, verdict mesh.Verdict, at int64) ledger.TransitionEvent {
	return ledger.TransitionEvent{Transition: mesh.Transition{
		ID: id, Sequence: uint64(at), Host: host, Check: check, Verdict: verdict, Published: time.Unix(at, 0).UTC(), Began: time.Unix(at-2, 0).UTC(),
	}}
}

func TestWhatWasAppendedIsRead(t *testing.T) {
	l := newLog()
	led := open(t, filepath.Join(t.TempDir(), "view.db"), l)
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	catalog.Seal(c)
	events := []ledger.Event{
		ledger.CatalogEvent{Catalog: c, Source: "file"}, ledger.AgentEvent{Host: "nc041", PublicKey: "K"}, ledger.AgentEvent{Host: "nc036", PublicKey: "K"},
		transition("1", "NC036", "smtp", mesh.Up, 10), transition("2", "NC036", "smtp", mesh.Down, 20), transition("3", "NC041", "ping", mesh.Up, 30),
	}
	if err := led.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	if err := led.Append(t.Context(), events[4]); err != nil { // a repeat
		t.Fatal(err)
	}
	ids := func(ts []mesh.Transition, err error) (out []string) {
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range ts {
			out = append(out, tr.ID)
		}
		return out
	}
	for _, test := range []struct{ got, want []string }{
		{ids(led.Transitions(t.Context(), "", time.Time{}, 10)), []string{"1", "2", "3"}},
		{ids(led.Transitions(t.Context(), "nc036", time.Time{}, 10)), []string{"1", "2"}},
		{ids(led.Transitions(t.Context(), "", time.Unix(15, 0), 1)), []string{"3"}},
		{ids(led.Standings(t.Context())), []string{"2", "3"}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
	roster, err := led.Roster(t.Context())
	if err != nil || !cmp.Equal(roster.Vantages, []string{"nc036", "nc041"}) {
		t.Error(roster, err)
	}
	inForce, err := led.Catalog(t.Context())
	if err != nil || inForce.Catalog.Revision != c.Revision || inForce.Source != "file" {
		t.Error(inForce, err)
	}
	if n, err := led.Judged(t.Context()); n != 30 || err != nil {
		t.Error(n, err)
	}
}

func TestTheViewIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(file string, l *log){
		"missing": func(file string, _ *log) { os.Remove(file) },
		"no view": func(file string, _ *log) {
			os.WriteFile(file, []byte("not a database, and longer than a header of one"), 0o600)
		},
		"outdated": func(string, *log) {},
		"another log": func(_ string, l *log) {
			l.created = time.Unix(2, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, file := newLog(), filepath.Join(t.TempDir(), "view.db")
			led, err := ledger.Open(t.Context(), file, l)
			if err != nil {
				t.Fatal(err)
			}
			if err := led.Append(t.Context(), transition("1", "NC036", "smtp", mesh.Up, 10)); err != nil {
				t.Fatal(err)
			}
			led.Close()
			spoil(file, l)
			if err := l.Append(t.Context(), l.entries(t, transition("2", "NC036", "smtp", mesh.Down, 20))); err != nil {
				t.Fatal(err)
			}
			got, err := open(t, file, l).Transitions(t.Context(), "", time.Time{}, 10)
			if err != nil || len(got) != 2 {
				t.Errorf("read %v, %v", got, err)
			}
		})
	}
}

// entries are the entries that a ledger makes of an event.
func (l *log) entries(t *testing.T, e ledger.Event) []ledger.Entry {
	other := newLog()
	if err := open(t, filepath.Join(t.TempDir(), "other.db"), other).Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	r := other.records[0]
	return []ledger.Entry{{Subject: r.Subject, ID: "again", Data: r.Data}}
}
