package view_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// catalogAfter puts a catalog in force after another: hosts are written in YAML.
func catalogAfter(t *testing.T, before *catalog.Catalog, at int64, hosts string) ledger.CatalogEvent {
	t.Helper()
	c, err := file.Parse("x", []byte("regions: [{name: ams}]\nhosts: ["+hosts+"]"),
		func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	out, err := catalog.Identify(before, c)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.CatalogEvent{Source: "test", Catalog: out.Catalog, Mesh: time.Unix(at, 0)}
}

func fell(id, host, check string, at int64) ledger.TransitionEvent {
	e := transition(id, host, check, mesh.Down, at)
	e.Transition.Was, e.Transition.From, e.Transition.To = mesh.Up, mesh.Operational, mesh.MajorOutage
	e.Transition.Public = true
	return e
}

const (
	hostA = "{name: A, region: ams, public: true, address: 192.0.2.1, checks: [{kind: tcp, port: 25, name: mail}]}"
	hostB = "{name: B, region: ams, public: true, address: 192.0.2.2, checks: [{kind: tcp, port: 25, name: mail}]}"
)

// shown describes what readers get of the hosts: transitions, standings and open incidents.
func shown(t *testing.T, led *store, hosts ...string) (out []string) {
	t.Helper()
	for _, host := range hosts {
		all, err := led.view.Transitions(t.Context(), host, time.Time{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range all {
			out = append(out, fmt.Sprint(host, ": ", tr.ID, " ", tr.Host, " ", tr.Check))
		}
	}
	incidents, err := led.view.Incidents(t.Context(), view.IncidentQuery{
		Limit: 10, Public: &view.PublicIncidents{At: time.Unix(1<<32, 0), Hosts: hosts},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range incidents {
		for _, h := range i.Hosts {
			out = append(out, fmt.Sprint(i.State, " ", h.Called(), " ", h.Windows[0].Check, " ", h.Windows[0].To.IsZero()))
		}
	}
	return append(out, standings(t, led, time.Unix(1000, 0))...)
}

// Renaming a check that is down, and its host, resolves nothing and cuts no downtime short; what was published under
// the name before is found under the present one, also after the view is rebuilt.
func TestHistoryFollowsRenames(t *testing.T) {
	l := newLog()
	led := open(t, filepath.Join(t.TempDir(), "view.db"), l)
	first := catalogAfter(t, nil, 10, hostA+","+hostB)
	swapped := catalogAfter(t, first.Catalog, 30,
		"{name: B, was: A, region: ams, public: true, address: 192.0.2.1, checks: [{kind: tcp, port: 25, name: smtp}]},"+
			"{name: A, was: B, region: ams, public: true, address: 192.0.2.2, checks: [{kind: tcp, port: 25, name: mail}]}")
	late := fell("2", "B", "mail", 29) // decided under the catalog before, and stored after the one that swaps
	late.Transition.HostID, late.Transition.CheckID = catalog.FirstHostID("B"), catalog.FirstCheckID("B", "mail")
	led.append(t, first, fell("1", "A", "mail", 20), swapped, late)
	want := []string{
		"a: 2 A mail", "b: 1 B smtp",
		"investigating A mail true", "investigating B (was A) smtp true",
		"smtp down", "mail down",
	}
	got := shown(t, led, "a", "b")
	slices.Sort(got[2:4])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	rebuilt := open(t, filepath.Join(t.TempDir(), "again.db"), l)
	again := shown(t, rebuilt, "a", "b")
	slices.Sort(again[2:4])
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("rebuilt: %s", diff)
	}
}

// A new host that takes the name of a renamed one, and later the name of one that is gone, has no history of theirs.
func TestANameThatIsUsedAgainHasNoHistory(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	first := catalogAfter(t, nil, 10, hostA)
	renamed := catalogAfter(t, first.Catalog, 30,
		"{name: C, region: ams, public: true, address: 192.0.2.1, checks: [{kind: tcp, port: 25, name: mail}]}")
	gone := catalogAfter(t, renamed.Catalog, 40, hostB)
	again := catalogAfter(t, gone.Catalog, 50, hostA+","+
		"{name: C, region: ams, public: true, address: 192.0.2.3, checks: [{kind: tcp, port: 25, name: mail}]}")
	led.append(t, first, fell("1", "A", "mail", 20), renamed)
	if got := shown(t, led, "c"); len(got) != 3 {
		t.Errorf("renamed: %q", got)
	}
	led.append(t, gone, again)
	for _, host := range []string{"a", "c"} {
		if all, err := led.view.Transitions(t.Context(), host, time.Time{}, 10); err != nil || len(all) != 0 {
			t.Errorf("%s has the history of another host: %v %v", host, all, err)
		}
	}
}

// The agent of a renamed host stays on the roster, by its former name and its host's id.
func TestTheRosterKnowsWhoseAnAgentIs(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	first := catalogAfter(t, nil, 10, hostA)
	id := first.Catalog.Hosts[0].ID
	led.append(t, first, ledger.AgentEvent{Host: "a", PublicKey: "K", Mesh: time.Unix(11, 0)},
		catalogAfter(t, first.Catalog, 30, "{name: C, region: ams, address: 192.0.2.1}"))
	r, err := led.view.Roster(t.Context())
	if err != nil || !slices.Equal(r.Vantages, []string{"a"}) || r.Hosts["a"] != id {
		t.Errorf("%+v %v", r, err)
	}
	if a, err := view.AgentOf(t.Context(), led.view, id, "c"); err != nil || a.Name != "a" || a.PublicKey != "K" {
		t.Errorf("%+v %v", a, err)
	}
	led.append(t, ledger.AgentEvent{Host: "c", HostID: id, PublicKey: "L", Mesh: time.Unix(40, 0)})
	r, err = led.view.Roster(t.Context())
	if err != nil || !slices.Equal(r.Vantages, []string{"c"}) {
		t.Errorf("joined again: %+v %v", r, err)
	}
	if ended, err := led.view.EndedKeys(t.Context()); err != nil || !slices.Equal(ended, []string{"K"}) {
		t.Errorf("ended %v %v", ended, err)
	}
}

// The uptime of a host and a check that were renamed is that of both names together, also where two swap their names.
func TestUptimeFollowsRenames(t *testing.T) {
	l := newLog()
	led := open(t, filepath.Join(t.TempDir(), "view.db"), l)
	first := catalogAfter(t, nil, 10, hostA+","+hostB)
	swapped := catalogAfter(t, first.Catalog, 400,
		"{name: B, was: A, region: ams, public: true, address: 192.0.2.1, checks: [{kind: tcp, port: 25, name: smtp}]},"+
			"{name: A, was: B, region: ams, public: true, address: 192.0.2.2, checks: [{kind: tcp, port: 25, name: mail}]}")
	turned := func(id, host, check string, verdict mesh.Verdict, at int64) ledger.TransitionEvent {
		e := transition(id, host, check, verdict, at)
		e.Transition.Began, e.Transition.To = e.Transition.Published, mesh.Operational
		if verdict == mesh.Down {
			e.Transition.To = mesh.MajorOutage
		}
		return e
	}
	led.append(t, first, turned("1", "A", "mail", mesh.Up, 100), turned("2", "B", "mail", mesh.Up, 100),
		turned("3", "A", "mail", mesh.Down, 200), turned("4", "A", "mail", mesh.Up, 300),
		turned("5", "A", "mail", mesh.Down, 380), swapped, // down while it is renamed
		turned("6", "B", "smtp", mesh.Up, 500), turned("7", "B", "smtp", mesh.Down, 600),
		turned("8", "B", "smtp", mesh.Up, 650))
	renamed, other := sla.Times{Up: 900 - 270, Down: 270}, sla.Times{Up: 900}
	want := map[string]sla.Times{"b ": renamed, "b smtp": renamed, "a ": other, "a mail": other}
	if diff := cmp.Diff(want, seconds(t, led, 100, 1000)); diff != "" {
		t.Error(diff)
	}
	rebuilt := open(t, filepath.Join(t.TempDir(), "again.db"), l)
	if diff := cmp.Diff(want, seconds(t, rebuilt, 100, 1000)); diff != "" {
		t.Errorf("rebuilt: %s", diff)
	}
}

// When checks were internal is known by their present names, also where two of a renamed host swap theirs.
func TestWhenRenamedChecksWereInternal(t *testing.T) {
	led := open(t, filepath.Join(t.TempDir(), "view.db"), newLog())
	host := func(name, checks string) string {
		return "{name: " + name + ", region: ams, public: true, address: 192.0.2.1, checks: [" + checks + "]}"
	}
	first := catalogAfter(t, nil, 10, host("A",
		"{kind: tcp, port: 25, name: mail}, {kind: tcp, port: 26, name: queue, public: false}"))
	swapped := catalogAfter(t, first.Catalog, 20, host("B, was: A",
		"{kind: tcp, port: 25, name: queue, was: mail}, {kind: tcp, port: 26, name: mail, was: queue, public: false}"))
	shown := catalogAfter(t, swapped.Catalog, 30, host("B",
		"{kind: tcp, port: 25, name: queue}, {kind: tcp, port: 26, name: mail}"))
	led.append(t, first, swapped, shown)
	internal, err := led.view.Periods().Internal(t.Context(), time.Unix(0, 0), time.Unix(100, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := view.Hidden{"b\nmail": {{From: time.Unix(10, 0), To: time.Unix(30, 0)}}}
	if diff := cmp.Diff(want, internal); diff != "" {
		t.Error(diff)
	}
	if n := len(internal.Of("b", "mail")) + len(internal.Of("b", "queue")) + len(internal.Of("b", "")); n != 1 {
		t.Errorf("%d periods", n)
	}
}
