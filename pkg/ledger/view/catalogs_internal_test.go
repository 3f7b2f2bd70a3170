package view

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// A coordinator that runs for years, with a catalog a day, does not remember what each of them changed.
func TestRememberedChangesAreBounded(t *testing.T) {
	var c changes
	for n := range uint64(3 * changesMax) {
		c.put([2]uint64{n + 1, n}, ledger.Change{Source: "c.yaml"})
		if _, known := c.get([2]uint64{n + 1, n}); !known {
			t.Fatalf("the change of catalog %d is not remembered", n+1)
		}
	}
	if len(c.known) > changesMax {
		t.Errorf("%d changes are remembered, at most %d may be", len(c.known), changesMax)
	}
}
