package view_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// withStatus is a transition that changes the host's status too. Its cause began two seconds earlier.
func withStatus(id string, verdict mesh.Verdict, status mesh.Status, at int64, offset time.Duration) ledger.Event {
	e := transition(id, "NC036", "check 0", verdict, at)
	e.Transition.To, e.Transition.Offset = status, offset
	return e
}

func made(t *testing.T, at int64, public bool) ledger.CatalogEvent {
	t.Helper()
	e := asks(t, "192.0.2.1", 25)
	e.Catalog.Hosts[0].Public, e.Mesh = public, time.Unix(at, 0)
	return e
}

func seconds(t *testing.T, l *store, from, to int64) map[string]sla.Times {
	t.Helper()
	published := func(host string) []sla.History {
		all, err := l.view.Periods().Published(t.Context(), host, time.Unix(from, 0), time.Unix(to, 0))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	histories := published("")
	out := map[string]sla.Times{}
	for _, h := range histories {
		other := func(o sla.History) bool { return o.Host != h.Host }
		if diff := cmp.Diff(slices.DeleteFunc(slices.Clone(histories), other), published(h.Host)); diff != "" {
			t.Errorf("of %s alone: %s", h.Host, diff)
		}
		out[h.Host+" "+h.Check] = sla.New(h.Spans, nil, nil).Measure(time.Unix(from, 0), time.Unix(to, 0))
	}
	return out
}

func TestWhatWasPublishedInAPeriod(t *testing.T) {
	removed := asks(t, "192.0.2.1", 25)
	removed.Catalog.Hosts[0].ID = "" // another host
	removed.Catalog.Hosts[0].Name, removed.Mesh = "NC041", time.Unix(400, 0)
	l := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	l.append(t, made(t, 50, true),
		withStatus("1", mesh.Up, mesh.Operational, 102, 0), withStatus("2", mesh.Down, mesh.MajorOutage, 202, 0),
		withStatus("3", mesh.Down, mesh.MajorOutage, 220, 0), // the same again
		withStatus("4", mesh.Up, mesh.Operational, 252, -time.Hour), removed)
	for _, test := range []struct {
		from, to int64
		want     sla.Times
	}{
		{0, 500, sla.Times{NoData: 100 + 100, Up: 100 + 150, Down: 50}},
		{0, 100, sla.Times{}},
		{201, 240, sla.Times{Down: 39}},
		{190, 201, sla.Times{Up: 10, Down: 1}}, // its publication is after the period, its cause is not
		{390, 410, sla.Times{Up: 10, NoData: 10}},
	} {
		want := map[string]sla.Times{"nc036 ": test.want, "nc036 check 0": test.want}
		if test.want == (sla.Times{}) {
			want = map[string]sla.Times{}
		}
		if diff := cmp.Diff(want, seconds(t, l, test.from, test.to)); diff != "" {
			t.Errorf("from %d to %d: %s", test.from, test.to, diff)
		}
	}
	for wall, want := range map[int64]time.Duration{50: 0, 240: 0, 3851: 0, 3852: -time.Hour, 9999: -time.Hour} {
		got, found, err := l.view.Periods().OffsetAt(t.Context(), time.Unix(wall, 0))
		if err != nil || found != (wall > 100) || got != want {
			t.Errorf("the offset at %d is %v, %v, %v", wall, got, found, err)
		}
	}
}

func TestWhenHostsWereInternal(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	l.append(t, made(t, 50, true), made(t, 100, false), made(t, 150, false), made(t, 200, true), made(t, 300, false))
	for _, test := range []struct {
		from, to int64
		want     sla.Times
	}{
		{0, 1000, sla.Times{NoData: 800}}, {0, 100, sla.Times{}}, {120, 130, sla.Times{NoData: 10}},
		{200, 300, sla.Times{}},
	} {
		internal, err := l.view.Periods().Internal(t.Context(), time.Unix(test.from, 0), time.Unix(test.to, 0))
		if err != nil {
			t.Fatal(err)
		}
		up := sla.Span{State: sla.Up, Began: time.Unix(0, 0), Published: time.Unix(0, 0)}
		got := sla.New([]sla.Span{up}, nil, internal["nc036"]).Measure(time.Unix(test.from, 0), time.Unix(test.to, 0))
		if got.Up = 0; got != test.want {
			t.Errorf("from %d to %d: %+v", test.from, test.to, got)
		}
	}
}
