package view_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// asks is a catalog in which NC036 has a check of each port, named "check 0" and so on.
func asks(t *testing.T, address string, ports ...int) ledger.CatalogEvent {
	t.Helper()
	text := "regions: [{name: a, city: A, country: NL, latitude: 1, longitude: 1}]\n" +
		"hosts:\n  - name: NC036\n    region: a\n    address: " + address + "\n    checks:\n"
	for i, port := range ports {
		text += fmt.Sprintf("      - {kind: tcp, name: check %d, port: %d}\n", i, port)
	}
	c, err := catalogfile.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return ledger.CatalogEvent{Source: "test", Catalog: c, Mesh: time.Unix(100, 0)}
}

func TestACatalogEndsStandingsOfChangedChecks(t *testing.T) {
	first := asks(t, "192.0.2.1", 25, 80)
	for name, test := range map[string]struct {
		then []ledger.Event
		want []string
	}{
		"the same":              {[]ledger.Event{first}, []string{"check 0 up", "check 1 down"}},
		"another port":          {[]ledger.Event{asks(t, "192.0.2.1", 26, 80)}, []string{"check 1 down"}},
		"down stays down":       {[]ledger.Event{asks(t, "192.0.2.1", 25, 81)}, []string{"check 0 up", "check 1 down"}},
		"another address":       {[]ledger.Event{asks(t, "192.0.2.2", 25, 80)}, []string{"check 1 down"}},
		"a check less":          {[]ledger.Event{asks(t, "192.0.2.1", 25)}, []string{"check 0 up"}},
		"a check less and more": {[]ledger.Event{asks(t, "192.0.2.1", 25), first}, []string{"check 0 up"}},
		"another port, and up": {
			[]ledger.Event{asks(t, "192.0.2.1", 26, 80), transition("3", "NC036", "check 0", mesh.Up, 130)},
			[]string{"check 1 down", "check 0 up"},
		},
		"another port, and back":        {[]ledger.Event{asks(t, "192.0.2.1", 26, 80), first}, []string{"check 1 down"}},
		"the host is spelt differently": {[]ledger.Event{spelt(first, "nc036")}, []string{"check 0 up", "check 1 down"}},
		"the host is another one":       {[]ledger.Event{spelt(first, "NC041")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
			before := []ledger.Event{first,
				transition("1", "NC036", "check 0", mesh.Up, 10), transition("2", "NC036", "check 1", mesh.Down, 20)}
			led.append(t, append(before, test.then...)...)
			if diff := cmp.Diff(test.want, standings(t, led, time.Unix(1000, 0))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func spelt(e ledger.CatalogEvent, name string) ledger.CatalogEvent {
	c := *e.Catalog
	c.Hosts = slices.Clone(c.Hosts)
	c.Hosts[0].Name, c.Hosts[0].ID = name, "" // as versions without ids wrote it
	c.Hosts[0].Checks = slices.Clone(c.Hosts[0].Checks)
	for i := range c.Hosts[0].Checks {
		c.Hosts[0].Checks[i].ID = ""
	}
	catalog.Seal(&c)
	return ledger.CatalogEvent{Source: "test", Catalog: &c, Mesh: time.Unix(100, 0)}
}

func standings(t *testing.T, led *store, at time.Time) (out []string) {
	t.Helper()
	last, err := led.view.Standings(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range last {
		out = append(out, tr.Check+" "+string(tr.Verdict))
	}
	return out
}

func TestCatalogsAndStandingsOfThePast(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	first, second := asks(t, "192.0.2.1", 25), asks(t, "192.0.2.1", 26)
	second.Mesh = time.Unix(102, 0)
	led.append(t, first, transition("1", "NC036", "check 0", mesh.Up, 10), second)
	for at, test := range map[int64]struct {
		revision string
		want     []string
	}{
		50:  {first.Catalog.Revision, []string{"check 0 up"}},
		101: {first.Catalog.Revision, []string{"check 0 up"}},
		102: {second.Catalog.Revision, nil},
		900: {second.Catalog.Revision, nil},
	} {
		c, err := led.view.CatalogAt(t.Context(), time.Unix(at, 0))
		if err != nil || c.Catalog.Revision != test.revision {
			t.Errorf("at %d the catalog is %v, %v", at, c.Catalog, err)
		}
		if diff := cmp.Diff(test.want, standings(t, led, time.Unix(at, 0))); diff != "" {
			t.Errorf("at %d: %s", at, diff)
		}
	}
}

// A quiet check keeps its verdict however much the others change, and every past moment shows the verdicts of that
// moment.
func TestStandingsOfABusyLedger(t *testing.T) {
	const together = 500
	transitions := int64(50_000)
	if testenv.Race {
		transitions /= 10
	}
	l := newLog()
	led := open(t, filepath.Join(t.TempDir(), "view.db"), l)
	led.append(t, transition("quiet", "NC036", "quiet", mesh.Down, 1))
	var batch []ledger.Event
	for i := range transitions {
		verdict := mesh.Up
		if i%2 == 1 {
			verdict = mesh.Down
		}
		batch = append(batch, transition(fmt.Sprint("busy-", i), "NC041", "busy", verdict, 10+i))
		if len(batch) == together {
			led.append(t, batch...)
			batch = batch[:0]
		}
	}
	for at, want := range map[int64][]string{
		0:                  {},
		5:                  {"quiet down"},
		10:                 {"quiet down", "busy up"},
		11:                 {"quiet down", "busy down"},
		10 + transitions/2: {"quiet down", "busy up"},
		10 + transitions:   {"quiet down", "busy down"},
	} {
		if got := standings(t, led, time.Unix(at, 0)); !slices.Equal(got, want) {
			t.Errorf("at %d: %q, want %q", at, got, want)
		}
	}
}
