package view_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Internal hosts take no place in the answers to the public, and neither does what happened while a host was internal.
func TestPublicTransitionsAndIncidentsCountNoOthers(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	c := &catalog.Catalog{Rule: catalog.DefaultRule()}
	catalog.Seal(c)
	change := func(id, host string, public bool, at int64) ledger.TransitionEvent {
		e := transition(id, host, "ping", mesh.Down, at)
		e.Transition.To, e.Transition.Public = mesh.MajorOutage, public
		return e
	}
	events := []ledger.Event{
		ledger.CatalogEvent{Catalog: c, Mesh: time.Unix(10, 0)},
		change("1-nc036-1", "NC036", true, 20), change("2-nc036-1", "NC036", false, 21),
	}
	for n := range int64(600) {
		events = append(events, change(fmt.Sprintf("%d-nc023-1", 100+n), "NC023", n%2 == 0, 100+2000*n))
	}
	led.append(t, events...)
	now := []string{"nc036"}
	got, err := led.view.PublicTransitions(t.Context(), now, time.Time{}, 500)
	if err != nil || len(got) != 1 || got[0].ID != "1-nc036-1" {
		t.Errorf("%d transitions (%v), want the one of NC036 while it was public", len(got), err)
	}
	incidents, err := led.view.Incidents(t.Context(), view.IncidentQuery{
		Limit: 1, Public: &view.PublicIncidents{At: time.Unix(1<<32, 0), Hosts: now},
	})
	if err != nil || len(incidents) != 1 || incidents[0].Hosts[0].Name != "NC036" {
		t.Errorf("%d incidents (%v), want that of NC036", len(incidents), err)
	}
	none, err := led.view.PublicTransitions(t.Context(), nil, time.Time{}, 500)
	if err != nil || len(none) != 0 {
		t.Errorf("without public hosts: %d transitions (%v)", len(none), err)
	}
}

// The evidence of an incident is found however much happened since, also where an id was used again.
func TestTheTransitionsOfAnOldIncidentAreFound(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	c := &catalog.Catalog{Rule: catalog.DefaultRule(), Hosts: []catalog.Host{{Name: "NC036", Public: true}}}
	catalog.Seal(c)
	old := transition("1-nc036-1", "NC036", "ping", mesh.Down, 20)
	old.Transition.To, old.Transition.Public = mesh.MajorOutage, true
	up := transition("2-nc036-1", "NC036", "ping", mesh.Up, 50)
	up.Transition.To, up.Transition.Public = mesh.Operational, true
	events := []ledger.Event{ledger.CatalogEvent{Catalog: c, Mesh: time.Unix(10, 0)}, old, up}
	for n := range int64(600) {
		e := transition(fmt.Sprintf("%d-nc036-1", n), "NC036", "ping", []mesh.Verdict{mesh.Down, mesh.Up}[n%2], 100_000+100*n)
		e.Transition.To = []mesh.Status{mesh.MajorOutage, mesh.Operational}[n%2]
		events = append(events, e)
	}
	led.append(t, events...)
	all, err := led.view.Incidents(t.Context(), view.IncidentQuery{Limit: 1000})
	if err != nil || len(all) < 2 {
		t.Fatalf("%d incidents, %v", len(all), err)
	}
	first := all[len(all)-1]
	var parts []incident.Update
	for _, u := range first.Updates {
		parts = append(parts, u.Parts()...)
	}
	got, err := view.TransitionsOf(t.Context(), led.view, parts)
	if err != nil || len(got) != 2 || !got[0].Published.Equal(time.Unix(20, 0)) || got[1].ID != up.Transition.ID {
		t.Errorf("%d transitions of %d parts: %+v, %v", len(got), len(parts), got, err)
	}
}

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
	all, err := led.view.Incidents(t.Context(), view.IncidentQuery{Limit: 10})
	if err != nil || len(all) != 3 || all[0].Name() != "NC041: major outage" || !all[1].Internal || all[2].Open() {
		t.Fatalf("%v, %+v", err, all)
	}
	if one, err := led.view.Incident(t.Context(), all[1].ID); err != nil || !cmp.Equal(one, all[1]) {
		t.Error(err, one)
	}
	if none, err := led.view.Incident(t.Context(), "x"); none != nil || err != nil {
		t.Error(none, err)
	}
	rebuilt := open(t, filepath.Join(dir, "again.db"), l)
	again, err := rebuilt.view.Incidents(t.Context(), view.IncidentQuery{Limit: 10})
	if err != nil || !cmp.Equal(all, again) {
		t.Errorf("%v, %s", err, cmp.Diff(all, again))
	}
	without := &catalog.Catalog{Rule: catalog.DefaultRule()}
	catalog.Seal(without)
	led.append(t, ledger.CatalogEvent{Catalog: without, Mesh: time.Unix(3000, 0)})
	open, err := led.view.Incidents(t.Context(), view.IncidentQuery{Since: time.Unix(1<<40, 0), Limit: 10})
	if err != nil || len(open) != 0 {
		t.Errorf("%v, still open: %+v", err, open)
	}
}

// What fails with a host that it needs joins the incident of that host, also where it was confirmed first. Its
// transitions and its status stay.
func TestIncidentsOfWhatNeedsAHost(t *testing.T) {
	for name, first := range map[string]string{"after it": "NC033", "before it": "NC036"} {
		t.Run(name, func(t *testing.T) {
			led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
			c := &catalog.Catalog{Rule: catalog.DefaultRule(), Hosts: []catalog.Host{
				{Name: "NC033", Public: true}, {Name: "NC036", Public: true, Needs: []string{"NC033"}},
				{Name: "NC041", Public: true},
			}}
			catalog.Seal(c)
			down := func(host string, at int64) ledger.TransitionEvent {
				e := transition(fmt.Sprintf("%d-%s-1", at, mesh.Key(host)), host, "ping", mesh.Down, at)
				e.Transition.To, e.Transition.Public = mesh.MajorOutage, true
				return e
			}
			second := map[string]string{"NC033": "NC036", "NC036": "NC033"}[first]
			led.append(t, ledger.CatalogEvent{Catalog: c, Mesh: time.Unix(10, 0)},
				down(first, 20), down("NC041", 21), down(second, 28))
			all, err := led.view.Incidents(t.Context(), view.IncidentQuery{Limit: 10})
			if err != nil || len(all) != 2 {
				t.Fatalf("%d incidents (%v), want that of NC033 with NC036, and that of NC041", len(all), err)
			}
			names := map[string]int{}
			for _, i := range all {
				for _, h := range i.Hosts {
					names[h.Name] = len(i.Hosts)
				}
			}
			if !cmp.Equal(names, map[string]int{"NC033": 2, "NC036": 2, "NC041": 1}) {
				t.Errorf("hosts of the incidents: %v", names)
			}
			hosts := []string{"nc033", "nc036", "nc041"}
			if got, err := led.view.PublicTransitions(t.Context(), hosts, time.Time{}, 10); err != nil || len(got) != 3 {
				t.Errorf("%d transitions (%v)", len(got), err)
			}
		})
	}
}

// A log that has lost its catalogs is read to its end. Without a catalog no host is known to be public.
func TestAnIncidentWithoutACatalogIsInternal(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	led.append(t, ledger.IncidentEvent{Change: incident.Change{
		Event: "e", ID: "i", Action: incident.ActionOpen, Mesh: time.Unix(20, 0),
		Hosts: []incident.Subject{{ID: catalog.FirstHostID("A"), Name: "A"}},
	}})
	i, err := led.view.Incident(t.Context(), "i")
	if err != nil || i == nil || !i.Internal {
		t.Errorf("%+v, %v", i, err)
	}
}

// Events whose fold reads before it writes are applied while the integrity guard writes to the same file.
func TestWritersOfTheViewWaitForEachOther(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	led.append(t, catalogAfter(t, nil, 10, hostA))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for n := uint64(1); ctx.Err() == nil; n++ {
			heads := []view.Head{{Stream: "OBS", Created: time.Unix(1, 0), Last: n}}
			if _, err := led.view.Losses().RecordHeads(context.Background(), heads, time.Now()); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for n := range 200 {
		led.append(t, ledger.IncidentEvent{Change: incident.Change{
			Event: fmt.Sprint("e", n), ID: fmt.Sprint("i", n), Action: incident.ActionOpen, Mesh: time.Unix(int64(20+n), 0),
			Hosts: []incident.Subject{{ID: catalog.FirstHostID("A"), Name: "A"}},
		}})
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
