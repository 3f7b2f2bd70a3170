package incident_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// says is a change that a person makes at a time, with a text.
func says(action incident.Action, state incident.State, clock string) incident.Change {
	count++
	return incident.Change{
		Event: fmt.Sprint("event-", count), ID: "x", Action: action, State: state, Mesh: at(clock), Worded: true,
		TextID: fmt.Sprint("text-", count),
	}
}

func down(clock string) mesh.Transition {
	t := transition("NC036", "Sending mail", mesh.Up, mesh.Down, mesh.Operational, mesh.PartialOutage, clock)
	t.HostID, t.CheckID = "h36", "c1"
	return t
}

func up(clock string) mesh.Transition {
	t := transition("NC036", "Sending mail", mesh.Down, mesh.Up, mesh.PartialOutage, mesh.Operational, clock)
	t.HostID, t.CheckID = "h36", "c1"
	return t
}

// An incident that a person took over is resolved by a person: the mesh proposes it.
func TestTheMeshProposesToResolveWhatSomebodyTookOver(t *testing.T) {
	b := incident.NewBook(nil, 0)
	i := b.Apply(down("06:56:02"))
	i.Change(says(incident.ActionUpdate, incident.Identified, "07:05:48"))
	if _, ok := i.Proposed(); ok || i.State != incident.Identified {
		t.Errorf("while it lasts: %s, proposed %v", i.State, ok)
	}
	b.Apply(up("07:17:05"))
	since, ok := i.Proposed()
	if !ok || i.State != incident.Identified || !i.Open() || since != at("07:17:07") {
		t.Errorf("%s since %v, proposed %v", i.State, since, ok)
	}
	if got := i.Text(i.Updates[1]); got != "Sending mail works again after 21 min 3 s." {
		t.Error(got)
	}
	i.Change(says(incident.ActionResolve, incident.Resolved, "07:26:54"))
	_, ok = i.Proposed()
	if lasted := i.Downtime(i.Resolved); ok || i.Open() || i.Resolved != at("07:26:54") ||
		lasted != 21*time.Minute+3*time.Second {
		t.Errorf("%s at %v after %v", i.State, i.Resolved, i.Downtime(i.Resolved))
	}
	i.Change(says(incident.ActionPostmortem, incident.Postmortem, "08:42:47"))
	var states []incident.State
	for _, m := range i.Timeline() {
		states = append(states, m.State)
	}
	want := []incident.State{incident.Investigating, incident.Identified, incident.Identified, incident.Resolved,
		incident.Postmortem}
	if diff := cmp.Diff(want, states); diff != "" || i.Open() || i.Resolved != at("07:26:54") {
		t.Error(diff)
	}
}

// A person who says "resolved" while a check still fails does not hide it.
func TestNobodyResolvesWhatStillFails(t *testing.T) {
	b := incident.NewBook(nil, 0)
	i := b.Apply(down("02:00:00"))
	i.Change(says(incident.ActionResolve, incident.Resolved, "02:03:00"))
	if i.State != incident.Monitoring || !i.Open() || i.Entries[0].State != incident.Monitoring {
		t.Errorf("%s, %+v", i.State, i.Entries)
	}
	b.Apply(up("02:04:00"))
	if i.State != incident.Resolved || i.Resolved != at("02:04:02") {
		t.Errorf("%s at %v", i.State, i.Resolved)
	}
	if again := b.Apply(down("02:10:00")); again != i || i.State != incident.Investigating {
		t.Errorf("it fails again: %s", i.State)
	}
}

// What a person opens before the mesh measures it is one incident with it, whatever else the host has.
func TestAnIncidentThatAPersonOpensJoinsTheMeasuredOne(t *testing.T) {
	c := says(incident.ActionOpen, incident.Investigating, "02:00:00")
	c.Hosts = []incident.Subject{{ID: "h36", Name: "NC036", Checks: []incident.Named{{ID: "c1", Name: "Sending mail"}}}}
	i := incident.NewByPerson(c, false)
	if i.Downtime(at("02:30:00")) != 0 || i.Impact != incident.None {
		t.Errorf("nothing was measured: %v, %s", i.Downtime(at("02:30:00")), i.Impact)
	}
	b := incident.NewBook([]*incident.Incident{i}, 0)
	lost := transition("NC036", "ping", mesh.Up, mesh.Unknown, mesh.Operational, mesh.StatusUnknown, "02:01:00")
	lost.HostID = "h36"
	if got := b.Apply(lost); got != nil {
		t.Error("unknown is no part of it")
	}
	if got := b.Apply(down("02:05:00")); got != i {
		t.Fatalf("another incident: %+v", got)
	}
	b.Apply(up("02:07:00"))
	if measured, ongoing := i.Measured(); !measured || ongoing || i.Impact != incident.Major || !i.Open() ||
		i.Downtime(at("03:00:00")) != 2*time.Minute {
		t.Errorf("%v %v %s %v", measured, ongoing, i.Impact, i.Downtime(at("03:00:00")))
	}
}

// A person's impact counts until the mesh measures worse.
func TestImpact(t *testing.T) {
	c := says(incident.ActionOpen, incident.Investigating, "02:00:00")
	c.Hosts, c.Impact = []incident.Subject{{ID: "h36", Name: "NC036"}}, incident.Minor
	i := incident.NewByPerson(c, false)
	b := incident.NewBook([]*incident.Incident{i}, 0)
	if i.Impact != incident.Minor {
		t.Error(i.Impact)
	}
	b.Apply(down("02:05:00"))
	if i.Impact != incident.Major {
		t.Error("the mesh measures worse: ", i.Impact)
	}
	less := says(incident.ActionEdit, "", "02:06:00")
	less.Impact = incident.None
	i.Change(less)
	if i.Impact != incident.None {
		t.Error("a person corrects it: ", i.Impact)
	}
}

func TestAMergedIncidentContinuesInTheOther(t *testing.T) {
	b := incident.NewBook(nil, 0)
	first := b.Apply(down("02:00:00"))
	b.Apply(up("02:04:00"))
	other := down("02:30:00")
	second := b.Apply(other)
	merge := says(incident.ActionMerge, "", "02:31:00")
	merge.Into, merge.Worded = second.ID, false
	second.Absorb(first, merge)
	if len(second.Hosts) != 1 || len(second.Hosts[0].Windows) != 2 || !second.Open() || second.Began != at("02:00:00") {
		t.Errorf("%+v", second)
	}
	if got := second.Entries[0]; got.Merged != first.ID {
		t.Errorf("%+v", got)
	}
	if got := second.Downtime(at("02:31:00")); got != 5*time.Minute {
		t.Error(got)
	}
}

// The page that a preview prints.
func TestThePage(t *testing.T) {
	b := incident.NewBook(nil, 0)
	fail := down("06:56:02")
	fail.Tally = mesh.Tally{Voters: 7, Bad: 7}
	i := b.Apply(fail)
	c := says(incident.ActionUpdate, incident.Identified, "07:05:48")
	c.NextUpdate, c.Titled, c.Tags = at("07:30:00"), true, &[]string{"smtp"}
	i.Change(c)
	i.Titles[0].Title, i.Entries[0].Texts[0].Body = "Mail cannot be sent", "A flood of viruses.\nWe clear it."
	b.Apply(up("07:17:05"))
	want := `Mail cannot be sent
identified · impact major · NC036
#smtp

Measured downtime
  NC036 Sending mail: down from 2020-09-21 06:56:02 to 07:17:05 UTC, 21 min 3 s

Next update by 07:30 UTC on 21 September.

Updates
2020-09-21 07:17:07 UTC  identified
  Sending mail works again after 21 min 3 s.
2020-09-21 07:05:48 UTC  identified
  A flood of viruses.
  We clear it.
2020-09-21 06:56:04 UTC  investigating
  Sending mail stopped at 06:56 UTC. Confirmed from 7 of 7 regions at 06:56 UTC.
`
	if diff := cmp.Diff(want, i.Page(at("07:20:00"))); diff != "" {
		t.Error(diff)
	}
	if got := i.Promise(at("07:31:00")); got != "The next update was promised by 07:30 UTC on 21 September." {
		t.Error(got)
	}
}

// Whatever people write: an incident with a failing check is open, no text of an internal moment is public, and a
// repeat of a change changes nothing.
func TestPeopleHideNoOutage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		transitions, _ := history(t)
		b := incident.NewBook(nil, 0)
		all := map[string]*incident.Incident{}
		for n, tr := range transitions {
			if i := b.Apply(tr); i != nil {
				all[i.ID] = i
			}
			ids := make([]string, 0, len(all))
			for id := range all {
				ids = append(ids, id)
			}
			if len(ids) == 0 || !rapid.Bool().Draw(t, "writes") {
				continue
			}
			slices.Sort(ids)
			i := all[rapid.SampledFrom(ids).Draw(t, "id")]
			c := incident.Change{
				Event: fmt.Sprint("e", n), ID: i.ID, Mesh: tr.Published, Worded: true, Hidden: rapid.Bool().Draw(t, "hidden"),
				Action: incident.ActionUpdate, State: rapid.SampledFrom(incident.States).Draw(t, "state"),
			}
			i.Change(c)
			edit := c
			edit.Event, edit.Action, edit.Entry, edit.State = fmt.Sprint("f", n), incident.ActionEdit, c.Event, ""
			edit.Titled, edit.TextID = true, fmt.Sprint("t", n)
			i.Change(edit)
			before := len(i.Entries) + incident.Corrections(i)
			i.Change(c)
			i.Change(edit)
			if len(i.Entries)+incident.Corrections(i) != before {
				t.Fatal("a repeat adds an entry")
			}
			part := i.Only([]string{"nc1", "nc2", "secret"})
			if part != nil && slices.ContainsFunc(part.Entries, func(e incident.Entry) bool { return e.Hidden }) {
				t.Fatal("the public reads what was written while every host was internal")
			}
		}
		for _, i := range all {
			if len(i.Failing()) > 0 && !i.Open() {
				t.Fatalf("%s hides an outage: %s", i.ID, i.Page(at("23:00:00")))
			}
			for _, h := range i.Hosts {
				for n := 1; n < len(h.Windows); n++ {
					if w := h.Windows[n-1]; w.Check == h.Windows[n].Check && w.To.After(h.Windows[n].From) {
						t.Fatalf("windows overlap: %+v", h.Windows)
					}
				}
			}
		}
	})
}

// A host whose outage another audience sees from now on has an incident there, and none where it was.
func TestAnOutageFollowsItsHostToAnotherAudience(t *testing.T) {
	b := incident.NewBook(nil, 0)
	public := b.Apply(down("02:00:00"))
	changed := b.Follow(at("02:10:00"), 0, func(*incident.Incident, *incident.Host) incident.Audience {
		return incident.Operators
	})
	if len(changed) != 2 || public.Open() || !changed[0].Internal || !changed[0].Open() {
		t.Fatalf("%+v", changed)
	}
	internal := changed[0]
	recovers := up("02:20:00")
	recovers.Public = false
	if got := b.Apply(recovers); got != internal || internal.Open() ||
		internal.Downtime(internal.Resolved) != 10*time.Minute || public.Downtime(public.Resolved) != 10*time.Minute {
		t.Errorf("%+v", got)
	}
	if text := public.Text(public.Updates[len(public.Updates)-1]); !strings.Contains(text, "no longer shown") {
		t.Error(text)
	}
}

func TestWhenAnIncidentIsPublic(t *testing.T) {
	for delay, want := range map[time.Duration]string{0: "02:00:02", 2 * time.Minute: "02:02:02", incident.ByHand: ""} {
		i := incident.NewBook(nil, delay).Apply(down("02:00:00"))
		if want == "" {
			if i.Shown(at("23:00:00")) {
				t.Error("it is public though nobody published it")
			}
			i.Change(says(incident.ActionPublish, "", "02:05:00"))
			if want = "02:05:00"; i.TakenOver() {
				t.Error("to publish is not to take over")
			}
		}
		if at := at(want); i.Shown(at.Add(-time.Second)) || !i.Shown(at) {
			t.Errorf("after %v: public from %v", delay, i.Public)
		}
	}
	i := incident.NewBook(nil, incident.ByHand).Apply(down("02:00:00"))
	i.Change(says(incident.ActionUpdate, "", "02:03:00"))
	if !i.Shown(at("02:03:00")) {
		t.Error("what a person writes is public at once")
	}
}
