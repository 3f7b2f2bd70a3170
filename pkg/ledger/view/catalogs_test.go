package view_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// What catalogs changed is the same however often it was read before, and newer catalogs are found.
func TestWhatCatalogsChanged(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	var before *catalog.Catalog
	var want []ledger.Change // the newest first
	for n := range 6 {
		c := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "r"}}}
		for i := range 3 {
			address := fmt.Sprintf("192.0.2.%d", i+1)
			if i == n%2 {
				address = fmt.Sprintf("198.51.100.%d", n+1)
			}
			c.Hosts = append(c.Hosts, catalog.Host{
				Name: fmt.Sprintf("host-%d", i), Region: "r", Addresses: []string{address},
				Checks: []catalog.Check{{Name: "smtp", Kind: "tcp"}},
			})
		}
		catalog.Seal(c)
		at := time.Unix(int64(1000*(n+1)), 0).UTC()
		s.append(t, ledger.CatalogEvent{Catalog: c, Source: "file", Mesh: at})
		want = slices.Insert(want, 0, ledger.Change{
			At: at, Revision: c.Revision, Source: "file", Changes: catalog.Compare(before, c),
		})
		before = c
		for _, limit := range []int{1, 3, 20} {
			got, err := view.CatalogChanges(t.Context(), s.view, limit)
			if diff := cmp.Diff(want[:min(limit, len(want))], got); err != nil || diff != "" {
				t.Fatalf("the last %d of %d: %v %s", limit, n+1, err, diff)
			}
		}
		last, found, err := s.view.LastChange(t.Context(), "host-2", at)
		if err != nil || !found || !last.At.Equal(time.Unix(1000, 0)) {
			t.Errorf("host-2 changed last at %s: %t %v", last.At, found, err)
		}
		last, found, err = s.view.LastChange(t.Context(), "host-0", at)
		if err != nil || !found || !slices.ContainsFunc(want, func(c ledger.Change) bool { return c.At.Equal(last.At) }) {
			t.Errorf("host-0 changed last at %s: %t %v", last.At, found, err)
		}
		for _, c := range last.Changes {
			if mesh.Key(c.Host) != "host-0" {
				t.Errorf("a change of %s is one of host-0", c.Host)
			}
		}
	}
	if _, found, err := s.view.LastChange(t.Context(), "host-9", time.Unix(9000, 0)); found || err != nil {
		t.Error("a host that never was has changed", err)
	}
}
