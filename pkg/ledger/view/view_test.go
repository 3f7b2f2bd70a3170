package view_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
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

func (l *log) Append(_ context.Context, entries []ledger.Entry) (last uint64, err error) {
	for _, e := range entries {
		if l.known[e.ID] {
			return 0, nil
		}
	}
	for _, e := range entries {
		l.known[e.ID] = true
		l.store(e.Subject, e.Data)
	}
	return uint64(len(l.records)), nil
}

// store adds a record, as another coordinator does. The log's clock counts seconds from 100.
func (l *log) store(subject string, data []byte) {
	n := len(l.records)
	l.records = append(l.records, ledger.Record{
		Sequence: uint64(n) + 1, Time: time.Unix(100+int64(n), 0), Subject: subject, Data: data,
	})
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

// store is a ledger with its view.
type store struct {
	ledger *ledger.Ledger
	view   *view.View
}

func open(t *testing.T, file string, l *log) *store { return openLog(t, file, l) }

func openLog(t *testing.T, file string, l ledger.Log) *store {
	t.Helper()
	v, err := view.Open(t.Context(), file, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	led, err := ledger.Open(t.Context(), l, v)
	if err != nil {
		t.Fatal(err)
	}
	return &store{led, v}
}

func (s *store) append(t *testing.T, events ...ledger.Event) {
	t.Helper()
	if err := s.ledger.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func (s *store) close() { s.view.Close() }

// storeAsOther writes the event to the log behind the ledger's back.
func (l *log) storeAsOther(t *testing.T, e ledger.Event) {
	t.Helper()
	other := newLog()
	open(t, filepath.Join(t.TempDir(), "other.db"), other).append(t, e)
	l.store(other.records[0].Subject, other.records[0].Data)
}

func transition(id, host, check string, verdict mesh.Verdict, at int64) ledger.TransitionEvent {
	return ledger.TransitionEvent{Transition: mesh.Transition{
		ID: id, Sequence: uint64(at), Host: host, Check: check, Verdict: verdict,
		Published: time.Unix(at, 0).UTC(), Began: time.Unix(at-2, 0).UTC(),
	}}
}

func TestAppendedEventsAreRead(t *testing.T) {
	l := newLog()
	led := open(t, filepath.Join(t.TempDir(), "view.db"), l)
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	catalog.Seal(c)
	events := []ledger.Event{
		ledger.CatalogEvent{Catalog: c, Source: "file", Mesh: time.Unix(9, 0)},
		ledger.AgentEvent{Host: "nc041", PublicKey: "K", Mesh: time.Unix(9, 0)},
		ledger.AgentEvent{Host: "nc036", PublicKey: "K", Mesh: time.Unix(9, 0)},
		transition("1", "NC036", "smtp", mesh.Up, 10), transition("2", "NC036", "smtp", mesh.Down, 20),
		transition("3", "NC041", "ping", mesh.Up, 30),
	}
	led.append(t, events...)
	led.append(t, events[len(events)-2]) // a repeat
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
		{ids(led.view.Transitions(t.Context(), "", time.Time{}, 10)), []string{"1", "2", "3"}},
		{ids(led.view.Transitions(t.Context(), "nc036", time.Time{}, 10)), []string{"1", "2"}},
		{ids(led.view.Transitions(t.Context(), "", time.Unix(15, 0), 1)), []string{"3"}},
		{ids(led.view.Standings(t.Context(), time.Unix(1000, 0))), []string{"2", "3"}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
	roster, err := led.view.Roster(t.Context())
	if err != nil || !cmp.Equal(roster.Vantages, []string{"nc036", "nc041"}) {
		t.Error(roster, err)
	}
	inForce, err := led.view.Catalog(t.Context())
	if err != nil || inForce.Catalog.Revision != c.Revision || inForce.Source != "file" {
		t.Error(inForce, err)
	}
	if n, _, err := led.view.Judged(t.Context()); n != 30 || err != nil {
		t.Error(n, err)
	}
}

func TestTheViewIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string, l *log){
		"missing": func(_ *testing.T, file string, _ *log) { os.Remove(file) },
		"not a database": func(t *testing.T, file string, _ *log) {
			write(t, file, []byte("not a database, and longer than a header of one"))
		},
		"broken further in": func(t *testing.T, file string, _ *log) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := len(data) / 2; i < len(data); i++ {
				data[i] = 0x5a
			}
			write(t, file, data)
		},
		"another schema": func(t *testing.T, file string, _ *log) {
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`UPDATE meta SET version = version - 1; DROP TABLE transitions`); err != nil {
				t.Fatal(err)
			}
		},
		"another log":    func(_ *testing.T, _ string, l *log) { l.created = time.Unix(2, 0) },
		"ahead of a log": func(_ *testing.T, _ string, l *log) { l.records = l.records[:1] },
		"behind":         func(*testing.T, string, *log) {},
	} {
		t.Run(name, func(t *testing.T) {
			l, file := newLog(), filepath.Join(t.TempDir(), "view.db")
			led := open(t, file, l)
			for i := range int64(20) {
				led.append(t, transition(fmt.Sprint(i), "NC036", "smtp", mesh.Up, 10+i))
			}
			led.close()
			spoil(t, file, l)
			want := len(l.records)
			if name == "behind" {
				want++
				l.storeAsOther(t, transition("more", "NC036", "smtp", mesh.Down, 50))
			}
			got, err := open(t, file, l).view.Transitions(t.Context(), "", time.Time{}, 100)
			if err != nil || len(got) != want {
				t.Errorf("read %d of %d transitions, %v", len(got), want, err)
			}
		})
	}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAGapInTheLogRebuildsTheView(t *testing.T) {
	l, file := newLog(), filepath.Join(t.TempDir(), "view.db")
	led := open(t, file, l)
	led.append(t, transition("1", "NC036", "smtp", mesh.Up, 10))
	led.close()
	for i := range int64(5) {
		l.storeAsOther(t, transition(fmt.Sprint("late", i), "NC036", "smtp", mesh.Up, 20+i))
	}
	l.first = 4 // the view has 1, but 2 and 3 are lost, so it is rebuilt
	got, err := open(t, file, l).view.Transitions(t.Context(), "", time.Time{}, 100)
	if err != nil || len(got) != 3 {
		t.Errorf("the view has %d transitions and the log 3, %v", len(got), err)
	}
}

func TestReadersMayAskForAnyTime(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	led.append(t, transition("1", "NC036", "smtp", mesh.Up, 10), transition("2", "NC036", "smtp", mesh.Down, 20))
	for _, test := range []struct {
		year, limit, want int
	}{
		{1, 100, 2}, {1500, 100, 2}, {1970, 1, 1}, {1970, 0, 0}, {1970, -1, 0}, {1970, math.MaxInt, 2}, {2200, 100, 0},
		{2900, 100, 0},
	} {
		got, err := led.view.Transitions(t.Context(), "", time.Date(test.year, 1, 1, 0, 0, 0, 0, time.UTC), test.limit)
		if err != nil || len(got) != test.want {
			t.Errorf("since %d, at most %d: %d, %v", test.year, test.limit, len(got), err)
		}
	}
}

func TestATransitionIsIdentifiedByIDAndTime(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	for at := range int64(2) {
		led.append(t, transition("7-nc036-1", "NC036", "smtp", mesh.Up, 10+at))
	}
	if got, err := led.view.Transitions(t.Context(), "nc036", time.Time{}, 10); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestThePastIsReadWithoutTheLog reads what a killed program left: its last events are in the write-ahead log alone.
func TestThePastIsReadWithoutTheLog(t *testing.T) {
	dir := t.TempDir()
	led := open(t, filepath.Join(dir, "view.db"), newLog())
	defer led.close()
	led.append(t, transition("1", "NC036", "ping", mesh.Down, 10))
	left := t.TempDir()
	for _, name := range []string{"view.db", "view.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(left, name), data)
	}
	past, err := view.OpenPast(t.Context(), filepath.Join(left, "view.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	if got, err := past.Transitions(t.Context(), "", time.Time{}, 10); err != nil || len(got) != 1 {
		t.Errorf("%d transitions: %v", len(got), err)
	}
	write(t, filepath.Join(left, "damaged.db"), []byte("not a database"))
	for _, name := range []string{"damaged.db", "missing.db"} {
		if v, err := view.OpenPast(t.Context(), filepath.Join(left, name)); err == nil {
			v.Close()
			t.Errorf("%s is opened", name)
		}
	}
	if _, err := os.Stat(filepath.Join(left, "missing.db")); err == nil {
		t.Error("it made a file")
	}
}
