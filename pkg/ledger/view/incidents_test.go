package view_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Incidents are derived from the events alone: a rebuilt view has the same ones.
func TestIncidents(t *testing.T) {
	l, dir := newLog(), t.TempDir()
	led := open(t, filepath.Join(dir, "view.db"), l)
	c := &catalog.Catalog{
		Rule: catalog.DefaultRule(), Hosts: []catalog.Host{{Name: "NC036", Public: true}, {Name: "NC041", Public: true}},
	}
	catalog.Seal(c)
	change := func(id, host string, to mesh.Status, v mesh.Verdict, at int64) ledger.TransitionEvent {
		e := transition(id, host, "ping", v, at)
		e.Transition.To, e.Transition.Public = to, host != "NC023"
		return e
	}
	led.append(t, ledger.CatalogEvent{Catalog: c, Mesh: time.Unix(10, 0)},
		change("1-nc036-1", "NC036", mesh.MajorOutage, mesh.Down, 20),
		change("2-nc023-1", "NC023", mesh.MajorOutage, mesh.Down, 21),
		change("3-nc036-1", "NC036", mesh.Operational, mesh.Up, 80),
		change("4-nc041-1", "NC041", mesh.MajorOutage, mesh.Down, 2000))
	all, err := led.view.Incidents(t.Context(), time.Time{}, 10)
	if err != nil || len(all) != 2 || all[0].Name() != "NC041: major outage" || all[1].Open() {
		t.Fatalf("%v, %+v", err, all)
	}
	if one, err := led.view.Incident(t.Context(), all[1].ID); err != nil || !cmp.Equal(one, all[1]) {
		t.Error(err, one)
	}
	if none, err := led.view.Incident(t.Context(), "x"); none != nil || err != nil {
		t.Error(none, err)
	}
	rebuilt := open(t, filepath.Join(dir, "again.db"), l)
	if again, err := rebuilt.view.Incidents(t.Context(), time.Time{}, 10); err != nil || !cmp.Equal(all, again) {
		t.Errorf("%v, %s", err, cmp.Diff(all, again))
	}
	without := &catalog.Catalog{Rule: catalog.DefaultRule()}
	catalog.Seal(without)
	led.append(t, ledger.CatalogEvent{Catalog: without, Mesh: time.Unix(3000, 0)})
	if open, err := led.view.Incidents(t.Context(), time.Unix(1<<40, 0), 10); err != nil || len(open) != 0 {
		t.Errorf("%v, still open: %+v", err, open)
	}
}
