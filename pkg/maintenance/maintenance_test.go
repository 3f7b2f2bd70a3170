package maintenance_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/maintenance"
)

// story is a maintenance of 02:00 to 03:00 on 1 March 2026, planned the day before, with changes.
func story(changes ...maintenance.Change) *maintenance.Maintenance {
	m := recurring("", "", "2026-03-01T02:00:00Z", time.Hour)
	for i, c := range changes {
		c.ID, c.Occurrence = string(rune('d'+i)), m.Start
		m.Changes = append(m.Changes, c)
	}
	return m
}

func clock(hour, minute int) time.Time { return time.Date(2026, 3, 1, hour, minute, 0, 0, time.UTC) }

func TestStates(t *testing.T) {
	const scheduled, progress, verifying, completed, cancelled = maintenance.Scheduled, maintenance.InProgress,
		maintenance.Verifying, maintenance.Completed, maintenance.Cancelled
	type moment struct {
		hour, minute int
		state        maintenance.State
	}
	for name, test := range map[string]struct {
		m       *maintenance.Maintenance
		moments []moment
		begins  time.Time
		ends    time.Time // zero: it has no window
	}{
		"by itself": {story(), []moment{{1, 59, scheduled}, {2, 0, progress}, {2, 59, progress}, {3, 0, completed}},
			clock(2, 0), clock(3, 0)},
		"started early": {
			story(maintenance.Change{Action: maintenance.Start, At: clock(1, 30), Until: clock(2, 30)}),
			[]moment{{1, 29, scheduled}, {1, 30, progress}, {2, 29, progress}, {2, 30, completed}}, clock(1, 30), clock(2, 30),
		},
		"extended twice": {
			story(maintenance.Change{Action: maintenance.Extend, At: clock(2, 50), Until: clock(3, 30)},
				maintenance.Change{Action: maintenance.Extend, At: clock(3, 20), Until: clock(4, 0)}),
			[]moment{{2, 59, progress}, {3, 29, progress}, {3, 59, progress}, {4, 0, completed}}, clock(2, 0), clock(4, 0),
		},
		"moved before it began": {
			story(maintenance.Change{Action: maintenance.Edit, At: clock(1, 0), From: clock(4, 0), Until: clock(4, 30)}),
			[]moment{{0, 59, scheduled}, {2, 30, scheduled}, {4, 0, progress}, {4, 29, progress}, {4, 30, completed}},
			clock(4, 0), clock(4, 30),
		},
		"shortened while it runs": {
			story(maintenance.Change{Action: maintenance.Edit, At: clock(2, 10), Until: clock(2, 20)}),
			[]moment{{2, 9, progress}, {2, 19, progress}, {2, 20, completed}}, clock(2, 0), clock(2, 20),
		},
		"verified and ended early": {
			story(maintenance.Change{Action: maintenance.Verify, At: clock(2, 10)},
				maintenance.Change{Action: maintenance.End, At: clock(2, 20)}),
			[]moment{{2, 9, progress}, {2, 10, verifying}, {2, 19, verifying}, {2, 20, completed}}, clock(2, 0), clock(2, 20),
		},
		"cancelled": {
			story(maintenance.Change{Action: maintenance.Cancel, At: clock(1, 0)}),
			[]moment{{0, 59, scheduled}, {1, 0, cancelled}, {2, 30, cancelled}, {4, 0, cancelled}}, time.Time{}, time.Time{},
		},
		"cancelled when it had begun, by a clock that was stepped": {
			story(maintenance.Change{Action: maintenance.Cancel, At: clock(2, 1)}),
			[]moment{{2, 30, progress}, {3, 0, completed}}, clock(2, 0), clock(3, 0),
		},
	} {
		for _, at := range test.moments {
			if o := test.m.Present(clock(at.hour, at.minute)); o.State != at.state {
				t.Errorf("%s: at %02d:%02d it is %s, want %s", name, at.hour, at.minute, o.State, at.state)
			}
		}
		windows := test.m.Windows(clock(0, 0), clock(12, 0))
		switch {
		case test.ends.IsZero() && len(windows) == 0:
		case len(windows) != 1 || !windows[0].Start.Equal(test.begins) || !windows[0].End.Equal(test.ends):
			t.Errorf("%s: %v", name, windows)
		}
	}
}

// The timeline has what people did and what happened by itself, in order, each with the state after it.
func TestTimelines(t *testing.T) {
	m := story(maintenance.Change{Action: maintenance.Extend, At: clock(2, 50), Until: clock(3, 30)})
	var got []maintenance.State
	for _, u := range m.Present(clock(5, 0)).Updates {
		got = append(got, u.State)
	}
	want := []maintenance.State{
		maintenance.Scheduled, maintenance.InProgress, maintenance.InProgress, maintenance.Completed,
	}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if n := len(m.Present(clock(2, 55)).Updates); n != 3 {
		t.Errorf("at 02:55 there are %d updates", n)
	}
	emergency := story()
	emergency.Emergency, emergency.Changes[0].At = true, emergency.Start
	if u := emergency.Present(clock(2, 0)).Updates; len(u) != 1 || u[0].State != maintenance.InProgress {
		t.Errorf("an emergency begins with %+v", u)
	}
}

// A change of one occurrence leaves the others alone, and a cancelled series keeps what has begun.
func TestOccurrencesAreChangedAlone(t *testing.T) {
	m := recurring("", "FREQ=DAILY;COUNT=4", "2026-03-01T02:00:00Z", time.Hour)
	second := m.Start.AddDate(0, 0, 1)
	m.Changes = append(m.Changes,
		maintenance.Change{
			ID: "d", Action: maintenance.Extend, At: second, Occurrence: second, Until: second.Add(5 * time.Hour),
		},
		maintenance.Change{ID: "e", Action: maintenance.Cancel, At: second.Add(2 * time.Hour)})
	all := m.Occurrences(m.Start, m.Start.AddDate(0, 1, 0), second.Add(3*time.Hour))
	if len(all) != 4 || all[0].State != maintenance.Completed || all[1].State != maintenance.InProgress ||
		all[1].End != second.Add(5*time.Hour) || all[2].State != maintenance.Cancelled ||
		all[3].State != maintenance.Cancelled {
		t.Errorf("%+v", all)
	}
	id, planned := maintenance.ParseID(all[1].ID)
	if id != m.ID || !planned.Equal(second) {
		t.Errorf("%s is %s of %s", all[1].ID, planned, id)
	}
	if o, ok := m.Occurrence(planned, second); !ok || o.ID != all[1].ID {
		t.Errorf("%+v", o)
	}
	if _, ok := m.Occurrence(planned.Add(time.Second), second); ok {
		t.Error("there is an occurrence that the rule has not")
	}
	if over := m.Over(); over.Before(all[1].End) {
		t.Errorf("it is over at %s", over)
	}
	// One of years ago is found, as is the last of a rule that is over.
	daily := recurring("", "FREQ=DAILY;UNTIL=20290301T020000Z", "2026-03-01T02:00:00Z", time.Hour)
	if o := daily.Present(at("2029-01-10T12:00:00Z")); !o.Planned.Equal(at("2029-01-11T02:00:00Z")) {
		t.Errorf("in the third year the next is %s", o.Planned)
	}
	if o := daily.Present(at("2035-01-10T12:00:00Z")); !o.Planned.Equal(at("2029-03-01T02:00:00Z")) {
		t.Errorf("the last was %s", o.Planned)
	}
}

// What is known of a time does not change later: the state that was computed then is the one computed from all that
// people did since.
func TestNoChangeReachesIntoThePast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := story()
		for now := clock(1, 0); now.Before(clock(6, 0)) && len(m.Changes) < 6; {
			now = now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "minutes")) * time.Minute)
			before, o := *m, m.Present(now)
			c := maintenance.Change{ID: now.String(), At: now, Occurrence: m.Start}
			c.Action = rapid.SampledFrom([]maintenance.Action{
				maintenance.Start, maintenance.Verify, maintenance.Extend, maintenance.End, maintenance.Cancel,
			}).Draw(t, "action")
			possible := map[maintenance.Action]bool{
				maintenance.Start: o.State == maintenance.Scheduled, maintenance.Verify: o.State == maintenance.InProgress,
				maintenance.Extend: o.State == maintenance.Scheduled || o.State.Active(), maintenance.End: o.State.Active(),
				maintenance.Cancel: o.State == maintenance.Scheduled,
			}
			if !possible[c.Action] {
				continue
			}
			switch c.Action {
			case maintenance.Extend:
				c.Until = o.Until.Add(20 * time.Minute)
			case maintenance.Start:
				c.Until = now.Add(o.Until.Sub(o.Start))
			}
			m.Changes = append(m.Changes, c)
			for past := clock(0, 0); past.Before(now); past = past.Add(time.Minute) {
				if a, b := before.Present(past), m.Present(past); a.State != b.State {
					t.Fatalf("at %s it was %s, and after %s at %s it is %s", past, a.State, c.Action, now, b.State)
				}
			}
		}
	})
}

func TestCoverage(t *testing.T) {
	m := story()
	m.Targets = []maintenance.Target{{Host: "a"}, {Host: "b", Check: "smtp"}}
	for _, test := range []struct {
		host, check string
		want        bool
	}{
		{"a", "", true}, {"a", "ping", true}, {"b", "", false}, {"b", "smtp", true}, {"b", "ping", false},
		{"c", "", false},
	} {
		if got := m.Covers(test.host, test.check); got != test.want {
			t.Errorf("%s %s: %t", test.host, test.check, got)
		}
	}
	if part := m.Only(func(x maintenance.Target) bool { return x.Host == "b" }); len(part.Targets) != 1 ||
		len(m.Targets) != 2 {
		t.Error("a part is not a copy")
	}
	if m.Only(func(maintenance.Target) bool { return false }) != nil {
		t.Error("nothing is left, and there is a part")
	}
	m.RenameHost("a", "z")
	m.RenameCheck("smtp", "mail")
	if !m.Covers("z", "") || m.Covers("a", "") || !m.Covers("b", "mail") || !m.Concerns("b") {
		t.Error("renames are not followed")
	}
}
