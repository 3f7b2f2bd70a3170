package ledger_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
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
		{ids(led.Standings(t.Context(), time.Unix(1000, 0))), []string{"2", "3"}},
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
	if n, _, err := led.Judged(t.Context()); n != 30 || err != nil {
		t.Error(n, err)
	}
}

func TestTheViewIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string, l *log){
		"missing": func(_ *testing.T, file string, _ *log) { os.Remove(file) },
		"no view": func(t *testing.T, file string, _ *log) {
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
			led, err := ledger.Open(t.Context(), file, l)
			if err != nil {
				t.Fatal(err)
			}
			for i := range int64(20) {
				if err := led.Append(t.Context(), transition(fmt.Sprint(i), "NC036", "smtp", mesh.Up, 10+i)); err != nil {
					t.Fatal(err)
				}
			}
			led.Close()
			spoil(t, file, l)
			want := len(l.records)
			if name == "behind" {
				want++
				if err := l.Append(t.Context(), l.entries(t, transition("more", "NC036", "smtp", mesh.Down, 50))); err != nil {
					t.Fatal(err)
				}
			}
			got, err := open(t, file, l).Transitions(t.Context(), "", time.Time{}, 100)
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

func TestAHoleInTheLogIsNotSkipped(t *testing.T) {
	l, file := newLog(), filepath.Join(t.TempDir(), "view.db")
	led, err := ledger.Open(t.Context(), file, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := led.Append(t.Context(), transition("1", "NC036", "smtp", mesh.Up, 10)); err != nil {
		t.Fatal(err)
	}
	led.Close()
	for i := range int64(5) {
		if err := l.Append(t.Context(), l.entries(t, transition(fmt.Sprint("late", i), "NC036", "smtp", mesh.Up, 20+i))); err != nil {
			t.Fatal(err)
		}
	}
	l.first = 4 // 2 and 3 are lost, and so is 1
	got, err := open(t, file, l).Transitions(t.Context(), "", time.Time{}, 100)
	if err != nil || len(got) != 3 {
		t.Errorf("the view holds %d transitions and the log 3, %v", len(got), err)
	}
}

func TestWhatReadersMayAskFor(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	if err := led.Append(t.Context(), transition("1", "NC036", "smtp", mesh.Up, 10), transition("2", "NC036", "smtp", mesh.Down, 20)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		year, limit, want int
	}{{1, 100, 2}, {1500, 100, 2}, {1970, 1, 1}, {1970, 0, 0}, {1970, -1, 0}, {1970, math.MaxInt, 2}, {2200, 100, 0}, {2900, 100, 0}} {
		got, err := led.Transitions(t.Context(), "", time.Date(test.year, 1, 1, 0, 0, 0, 0, time.UTC), test.limit)
		if err != nil || len(got) != test.want {
			t.Errorf("since %d, at most %d: %d, %v", test.year, test.limit, len(got), err)
		}
	}
}

func TestAnIdThatComesAgainAtAnotherTimeIsAnotherTransition(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	for at := range int64(2) {
		if err := led.Append(t.Context(), transition("7-nc036-1", "NC036", "smtp", mesh.Up, 10+at)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := led.Transitions(t.Context(), "nc036", time.Time{}, 10); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// asks is a catalog in which NC036 is asked the ports' checks, each named as its port.
func asks(t *testing.T, address string, ports ...int) ledger.CatalogEvent {
	t.Helper()
	text := "regions: [{name: a, city: A, country: NL, latitude: 1, longitude: 1}]\nhosts:\n  - name: NC036\n    region: a\n    address: " + address + "\n    checks:\n"
	for i, port := range ports {
		text += fmt.Sprintf("      - {kind: tcp, name: check %d, port: %d}\n", i, port)
	}
	c, err := catalog.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return ledger.CatalogEvent{Source: "test", Catalog: c}
}

func TestACatalogEndsWhatItAsksNoMore(t *testing.T) {
	first := asks(t, "192.0.2.1", 25, 80)
	for name, test := range map[string]struct {
		then []ledger.Event
		want []string
	}{
		"the same":                {[]ledger.Event{first}, []string{"check 0 up", "check 1 down"}},
		"another port":            {[]ledger.Event{asks(t, "192.0.2.1", 26, 80)}, []string{"check 1 down"}},
		"down stays down":         {[]ledger.Event{asks(t, "192.0.2.1", 25, 81)}, []string{"check 0 up", "check 1 down"}},
		"another address":         {[]ledger.Event{asks(t, "192.0.2.2", 25, 80)}, []string{"check 1 down"}},
		"a check less":            {[]ledger.Event{asks(t, "192.0.2.1", 25)}, []string{"check 0 up"}},
		"a check less and more":   {[]ledger.Event{asks(t, "192.0.2.1", 25), first}, []string{"check 0 up"}},
		"another port, and up":    {[]ledger.Event{asks(t, "192.0.2.1", 26, 80), transition("3", "NC036", "check 0", mesh.Up, 30)}, []string{"check 1 down", "check 0 up"}},
		"another port, and back":  {[]ledger.Event{asks(t, "192.0.2.1", 26, 80), first}, []string{"check 1 down"}},
		"the host is spelt anew":  {[]ledger.Event{spelt(first, "nc036")}, []string{"check 0 up", "check 1 down"}},
		"the host is another one": {[]ledger.Event{spelt(first, "NC041")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
			before := []ledger.Event{first, transition("1", "NC036", "check 0", mesh.Up, 10), transition("2", "NC036", "check 1", mesh.Down, 20)}
			if err := led.Append(t.Context(), append(before, test.then...)...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, standings(t, led, time.Unix(1000, 0))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func spelt(e ledger.CatalogEvent, name string) ledger.CatalogEvent {
	c := *e.Catalog
	c.Hosts = slices.Clone(c.Hosts)
	c.Hosts[0].Name = name
	catalog.Seal(&c)
	return ledger.CatalogEvent{Source: "test", Catalog: &c}
}

func standings(t *testing.T, led *ledger.Ledger, at time.Time) (out []string) {
	t.Helper()
	last, err := led.Standings(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range last {
		out = append(out, tr.Check+" "+string(tr.Verdict))
	}
	return out
}

func TestThePastIsAsItWas(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	first, second := asks(t, "192.0.2.1", 25), asks(t, "192.0.2.1", 26)
	if err := led.Append(t.Context(), first, transition("1", "NC036", "check 0", mesh.Up, 10), second); err != nil {
		t.Fatal(err)
	}
	// The log's clock counts from 100.
	for at, test := range map[int64]struct {
		revision string
		want     []string
	}{
		50:  {first.Catalog.Revision, []string{"check 0 up"}},
		101: {first.Catalog.Revision, []string{"check 0 up"}},
		102: {second.Catalog.Revision, nil},
		900: {second.Catalog.Revision, nil},
	} {
		c, err := led.CatalogAt(t.Context(), time.Unix(at, 0))
		if err != nil || c.Catalog.Revision != test.revision {
			t.Errorf("at %d the catalog is %v, %v", at, c.Catalog, err)
		}
		if diff := cmp.Diff(test.want, standings(t, led, time.Unix(at, 0))); diff != "" {
			t.Errorf("at %d: %s", at, diff)
		}
	}
}

// entries are the entries that a ledger makes of an event.
func (l *log) entries(t *testing.T, e ledger.Event) []ledger.Entry {
	other := newLog()
	if err := open(t, filepath.Join(t.TempDir(), "other.db"), other).Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	r := other.records[0]
	return []ledger.Entry{{Subject: r.Subject, ID: fmt.Sprint("again-", len(l.records)), Data: r.Data}}
}

// The book of incidents is made from the transitions alone: a view rebuilt from them tells the same.
func TestIncidents(t *testing.T) {
	l, dir := newLog(), t.TempDir()
	led := open(t, filepath.Join(dir, "view.db"), l)
	c := &catalog.Catalog{Rule: catalog.DefaultRule(), Hosts: []catalog.Host{{Name: "NC036", Public: true}, {Name: "NC041", Public: true}}}
	catalog.Seal(c)
	turn := func(id, host string, to mesh.Status, v mesh.Verdict, at int64) ledger.TransitionEvent {
		e := transition(id, host, "ping", v, at)
		e.To, e.Public = to, host != "NC023"
		return e
	}
	if err := led.Append(t.Context(), ledger.CatalogEvent{Catalog: c},
		turn("1-nc036-1", "NC036", mesh.MajorOutage, mesh.Down, 20), turn("2-nc023-1", "NC023", mesh.MajorOutage, mesh.Down, 21),
		turn("3-nc036-1", "NC036", mesh.Operational, mesh.Up, 80), turn("4-nc041-1", "NC041", mesh.MajorOutage, mesh.Down, 2000)); err != nil {
		t.Fatal(err)
	}
	all, err := led.Incidents(t.Context(), time.Time{}, 10)
	if err != nil || len(all) != 2 || all[0].Name() != "NC041: major outage" || all[1].Open() {
		t.Fatalf("%v, %+v", err, all)
	}
	if one, err := led.Incident(t.Context(), all[1].ID); err != nil || !cmp.Equal(one, all[1]) {
		t.Error(err, one)
	}
	if none, err := led.Incident(t.Context(), "x"); none != nil || err != nil {
		t.Error(none, err)
	}
	rebuilt := open(t, filepath.Join(dir, "again.db"), l)
	if again, err := rebuilt.Incidents(t.Context(), time.Time{}, 10); err != nil || !cmp.Equal(all, again) {
		t.Errorf("%v, %s", err, cmp.Diff(all, again))
	}
	without := &catalog.Catalog{Rule: catalog.DefaultRule()}
	catalog.Seal(without)
	if err := led.Append(t.Context(), ledger.CatalogEvent{Catalog: without}); err != nil {
		t.Fatal(err)
	}
	if open, err := led.Incidents(t.Context(), time.Unix(1<<40, 0), 10); err != nil || len(open) != 0 {
		t.Errorf("%v, still open: %+v", err, open)
	}
}
