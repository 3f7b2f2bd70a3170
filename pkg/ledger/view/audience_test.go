package view_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// When checks of a public host leave the catalog or change their audience while they are down, no outage of an internal
// check becomes public, and none that anybody can still see is lost.
func TestOutagesFollowTheirChecksToAnotherAudience(t *testing.T) {
	const internal, public = true, false
	for name, test := range map[string]struct {
		before, after checks
		down          []string
		open          []bool // which incidents are open afterwards: internal, public
	}{
		"an internal check is removed": {
			checks{"queue": internal, "smtp": public}, checks{"smtp": public},
			[]string{"queue"}, nil,
		},
		"one of two internal checks": {
			checks{"queue": internal, "disk": internal}, checks{"disk": internal},
			[]string{"queue", "disk"}, []bool{internal},
		},
		"an internal check becomes public": {
			checks{"queue": internal}, checks{"queue": public},
			[]string{"queue"}, []bool{public},
		},
		"a public check becomes internal": {
			checks{"smtp": public}, checks{"smtp": internal},
			[]string{"smtp"}, []bool{internal},
		},
		"an internal check stays": {
			checks{"queue": internal, "smtp": public}, checks{"queue": internal},
			[]string{"queue"}, []bool{internal},
		},
		"a public check stays beside internal": {
			checks{"queue": internal, "smtp": public}, checks{"smtp": public},
			[]string{"queue", "smtp"}, []bool{public},
		},
	} {
		t.Run(name, func(t *testing.T) {
			led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
			events := []ledger.Event{ledger.CatalogEvent{Catalog: test.before.catalog(), Mesh: time.Unix(10, 0)}}
			for n, check := range test.down {
				e := transition("1-nc036-"+string(rune('1'+n)), "NC036", check, mesh.Down, 20)
				tr := &e.Transition
				tr.To, tr.Public, tr.Aside = mesh.MajorOutage, !test.before[check], test.before[check]
				events = append(events, e)
			}
			led.append(t, append(events, ledger.CatalogEvent{Catalog: test.after.catalog(), Mesh: time.Unix(60, 0)})...)
			all, err := led.view.Incidents(t.Context(), view.IncidentQuery{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, i := range all {
				if i.Open() {
					got = append(got, i.Internal)
				}
				for _, w := range i.Hosts[0].Windows {
					if !i.Internal && test.before[w.Check] && test.after.internal(w.Check) {
						t.Errorf("the public reads of %s", w.Check)
					}
				}
			}
			if !slices.Equal(got, test.open) {
				t.Errorf("open incidents, internal or not: %v, want %v", got, test.open)
			}
		})
	}
}

// checks are the checks of a public host, and whether each is internal.
type checks map[string]bool

func (c checks) catalog() *catalog.Catalog {
	h := catalog.Host{Name: "NC036", Public: true, Region: "ams", Addresses: []string{"192.0.2.1"}}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		h.Checks = append(h.Checks, catalog.Check{Kind: catalog.KindTCP, Name: name, Critical: true, Internal: c[name],
			Interval: 10 * time.Second, Timeout: time.Second, Options: catalog.TCP{Port: 25}})
	}
	out := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "ams"}},
		Hosts: []catalog.Host{h}}
	catalog.Seal(out)
	return out
}

// internal reports whether the public may not read of a check: it is internal, or gone.
func (c checks) internal(check string) bool {
	internal, ok := c[check]
	return internal || !ok
}
