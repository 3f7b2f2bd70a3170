package view_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Hosts and checks keep when they were added, whatever they are called since, also when the view is rebuilt.
func TestWhenComponentsWereAdded(t *testing.T) {
	l := newLog()
	led := open(t, filepath.Join(t.TempDir(), "view.db"), l)
	first := catalogAfter(t, nil, 10, hostA)
	second := catalogAfter(t, first.Catalog, 20, hostA+","+hostB)
	renamed := catalogAfter(t, second.Catalog, 30, "{name: C, was: A, region: ams, public: true, address: 192.0.2.1, "+
		"checks: [{kind: tcp, port: 25, name: smtp, was: mail}]},"+hostB)
	away := catalogAfter(t, renamed.Catalog, 40, hostB)
	for _, e := range []ledger.CatalogEvent{first, second, renamed, away} {
		e.Offset = time.Second // mesh time less the wall clock
		led.append(t, e)
	}
	at := func(added, changed int64) ledger.Component {
		return ledger.Component{Added: time.Unix(added-1, 0).UTC(), Changed: time.Unix(changed-1, 0).UTC()}
	}
	want := map[string]ledger.Component{
		catalog.FirstHostID("A"): at(10, 30), catalog.FirstCheckID("A", "mail"): at(10, 30),
		catalog.FirstHostID("B"): at(20, 20), catalog.FirstCheckID("B", "mail"): at(20, 20),
	}
	rebuilt := open(t, filepath.Join(t.TempDir(), "again.db"), l)
	for name, from := range map[string]*store{"folded": led, "rebuilt": rebuilt} {
		got, err := from.view.Components(t.Context())
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v %s", name, err, cmp.Diff(want, got))
		}
	}
}
