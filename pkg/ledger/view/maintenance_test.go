package view_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// A maintenance has the texts that people wrote and every change once, follows renames, and is the same after the view
// is rebuilt.
func TestMaintenancesAreFolded(t *testing.T) {
	l := newLog()
	file := filepath.Join(t.TempDir(), "view.db")
	led := open(t, file, l)
	first := catalogAfter(t, nil, 10, hostA+","+hostB)
	renamed := catalogAfter(t, first.Catalog, 50, "{name: Mail, was: A, region: ams, public: true, address: 192.0.2.1, "+
		"checks: [{kind: tcp, port: 25, name: SMTP, was: mail}]},"+hostB)
	id, check := first.Catalog.Hosts[0].Identity(), first.Catalog.Hosts[0].IdentityOf(&first.Catalog.Hosts[0].Checks[0])
	plan := ledger.MaintenanceEvent{
		Event: "1", ID: "m", Action: maintenance.Plan, Mesh: time.Unix(25, 0), Offset: 5 * time.Second,
		Schedule: &maintenance.Schedule{Start: time.Unix(100, 0).UTC(), End: time.Unix(200, 0).UTC()},
		Targets:  []maintenance.Target{{Host: id, Check: check}}, Tags: []string{"disk"}, Category: "mail",
		Text: &ledger.TextRef{ID: "lost", Hash: "x"},
	}
	extend := ledger.MaintenanceEvent{
		Event: "2", ID: "m", Action: maintenance.Extend, Mesh: time.Unix(155, 0), Offset: 5 * time.Second,
		Occurrence: plan.Schedule.Start, Until: time.Unix(300, 0).UTC(),
	}
	led.append(t, first, plan, extend, extend, renamed)
	stray := extend
	stray.ID, stray.Event = "of another log", "3"
	led.append(t, stray)

	read := func(led *store) *maintenance.Maintenance {
		t.Helper()
		m, err := led.view.Maintenances().Get(t.Context(), "m")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	got := read(led)
	host := renamed.Catalog.Hosts[0]
	if !got.Covers(host.Identity(), host.IdentityOf(&host.Checks[0])) || len(got.Changes) != 2 ||
		!got.Announced().Equal(time.Unix(20, 0)) || !got.Changes[0].Text.Missing || got.Category != "mail" {
		t.Errorf("%+v", got)
	}
	if w := got.Windows(time.Unix(0, 0), time.Unix(1000, 0)); len(w) != 1 || !w[0].End.Equal(extend.Until) {
		t.Errorf("%+v", w)
	}
	for _, test := range []struct {
		from, to int64
		found    int
	}{{0, 20, 0}, {0, 21, 1}, {250, 260, 1}, {300, 400, 1}, {301, 400, 0}} {
		all, err := led.view.Maintenances().List(t.Context(), time.Unix(test.from, 0), time.Unix(test.to, 0), 10)
		if err != nil || len(all) != test.found {
			t.Errorf("from %d to %d: %d found, %v", test.from, test.to, len(all), err)
		}
	}
	if _, err := led.view.Maintenances().Get(t.Context(), stray.ID); !errors.Is(err, ledger.ErrNoMaintenance) {
		t.Errorf("a change without a plan: %v", err)
	}
	led.view.Close()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read(open(t, file, l))); diff != "" {
		t.Errorf("rebuilt, it differs:\n%s", diff)
	}
}
