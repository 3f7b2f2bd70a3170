package incident_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2020-09-21 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

var count int

// transition is one of a public host's check, which began at a time and was published two seconds later.
func transition(host, check string, was, is mesh.Verdict, from, to mesh.Status, began string) mesh.Transition {
	count++
	return mesh.Transition{
		ID: fmt.Sprintf("%d-%s-1", count, mesh.Key(host)), Host: host, Check: check, Public: true,
		Was: was, Verdict: is, From: from, To: to,
		Began: at(began), Published: at(began).Add(2 * time.Second), Sentence: string(is) + ": " + check,
	}
}

// The outage of 2020-09-21: mail could not be sent for 21 minutes, and could be read.
func TestAnOutageOf21Minutes(t *testing.T) {
	b := incident.NewBook(nil, 0)
	const check = "Sending mail"
	fail := transition("NC036", check, mesh.Up, mesh.Down, mesh.Operational, mesh.PartialOutage, "06:56:02")
	opened := b.Apply(fail)
	if opened.Name() != "NC036: Sending mail down" || opened.Impact != incident.Major ||
		opened.State != incident.Investigating {
		t.Errorf("%s, %s, %s", opened.Name(), opened.Impact, opened.State)
	}
	restore := transition("NC036", check, mesh.Down, mesh.Up, mesh.PartialOutage, mesh.Operational, "07:17:05")
	closed := b.Apply(restore)
	if closed != opened || closed.Open() || len(closed.Updates) != 2 {
		t.Errorf("%+v", closed)
	}
	want := []incident.Window{{Check: "Sending mail", Verdict: mesh.Down, From: at("06:56:02"), To: at("07:17:05")}}
	if diff := cmp.Diff(want, closed.Hosts[0].Windows); diff != "" {
		t.Error(diff)
	}
	if got := incident.FormatDuration(want[0].To.Sub(want[0].From)); got != "21 min 3 s" {
		t.Error(got)
	}
}

func TestHostsThatFailForOneCauseShareAnIncident(t *testing.T) {
	b := incident.NewBook(nil, 0)
	var last *incident.Incident
	for _, host := range []string{"NC033", "NC040"} {
		failure := transition(host, "ping", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "02:31:00")
		failure.Cause = "812-0"
		i := b.Apply(failure)
		if last != nil && i != last {
			t.Error("two incidents for one cause")
		}
		last = i
	}
	if last.Name() != "NC033 and NC040 are down" || last.Impact != incident.Critical {
		t.Error(last.Name(), last.Impact)
	}
	b.Apply(transition("NC033", "ping", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "02:37:00"))
	if !last.Open() {
		t.Error("resolved while one of its hosts is down")
	}
	b.Apply(transition("NC040", "ping", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "02:37:01"))
	if last.Open() || last.Name() != "NC033 and NC040 were down" {
		t.Error(last.Name())
	}
}

func TestAServiceThatComesAndGoesHasOneIncident(t *testing.T) {
	fail := func(clock string) mesh.Transition {
		return transition("NC036", "ping", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, clock)
	}
	restore := func(clock string) mesh.Transition {
		return transition("NC036", "ping", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, clock)
	}
	b := incident.NewBook(nil, 0)
	first := b.Apply(fail("02:00:00"))
	b.Apply(restore("02:05:00"))
	if again := b.Apply(fail("02:14:00")); again != first || !again.Open() {
		t.Error("another incident nine minutes later")
	}
	b.Apply(restore("02:15:00"))
	if later := b.Apply(fail("02:30:00")); later == first {
		t.Error("the same incident fifteen minutes later")
	}
}

func TestUnknownOpensAndClosesNothing(t *testing.T) {
	b := incident.NewBook(nil, 0)
	lost := transition("NC036", "ping", mesh.Up, mesh.Unknown, mesh.Operational, mesh.StatusUnknown, "02:00:00")
	if i := b.Apply(lost); i != nil {
		t.Errorf("%+v", i)
	}
	i := b.Apply(transition("NC036", "ping", mesh.Unknown, mesh.Down, mesh.StatusUnknown, mesh.MajorOutage, "02:01:00"))
	b.Apply(transition("NC036", "ping", mesh.Down, mesh.Unknown, mesh.MajorOutage, mesh.StatusUnknown, "02:02:00"))
	if !i.Open() || len(i.Updates) != 2 || i.Hosts[0].Windows[0].To != at("02:02:00") {
		t.Errorf("%+v", i)
	}
}

func TestAHostThatIsNoLongerPublicEndsItsIncident(t *testing.T) {
	b := incident.NewBook(nil, 0)
	i := b.Apply(transition("NC036", "ping", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "02:00:00"))
	b.Follow(at("02:10:00"), 0, func(*incident.Incident, *incident.Host) incident.Audience { return incident.Nobody })
	if i.Open() || i.Hosts[0].Windows[0].To != at("02:10:00") {
		t.Errorf("%+v", i)
	}
}

// history draws a chain of transitions of three hosts, one of them internal, with repeats among them.
func history(t *rapid.T) (out []mesh.Transition, last map[string]mesh.Status) {
	statuses := []mesh.Status{
		mesh.Operational, mesh.StatusUnknown, mesh.DegradedPerformance, mesh.PartialOutage, mesh.MajorOutage,
	}
	verdicts := []mesh.Verdict{mesh.Up, mesh.Unknown, mesh.Degraded, mesh.Partial, mesh.Down}
	last = map[string]mesh.Status{"NC1": mesh.Operational, "NC2": mesh.Operational, "SECRET": mesh.Operational}
	clock := at("00:00:00")
	for n := range rapid.IntRange(1, 60).Draw(t, "transitions") {
		host := rapid.SampledFrom([]string{"NC1", "NC2", "SECRET"}).Draw(t, "host")
		to := rapid.IntRange(0, len(statuses)-1).Draw(t, "to")
		clock = clock.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "after")) * time.Second)
		out = append(out, mesh.Transition{
			ID: fmt.Sprintf("%d-%s-1", n, mesh.Key(host)), Host: host, Check: "ping", Public: host != "SECRET",
			From: last[host], To: statuses[to],
			Verdict: verdicts[to], Began: clock.Add(-time.Second), Published: clock,
			Cause: rapid.SampledFrom([]string{"", "1-0", "2-0"}).Draw(t, "cause"),
		})
		last[host] = statuses[to]
	}
	return out, last
}

// An incident is open exactly while one of its hosts has not recovered. The same history gives the same incidents,
// even if every transition is applied twice. Internal hosts have incidents of their own.
func TestTheSameHistoryGivesTheSameIncidents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		transitions, last := history(t)
		once, twice := incident.NewBook(nil, 0), incident.NewBook(nil, 0)
		all := map[string]*incident.Incident{}
		again := map[string]*incident.Incident{}
		open := map[string]bool{}
		for _, tr := range transitions {
			if i := once.Apply(tr); i != nil {
				all[i.ID] = i
			}
			for range 2 {
				if i := twice.Apply(tr); i != nil {
					again[i.ID] = i
				}
			}
			switch tr.To {
			case mesh.Operational:
				open[tr.Host] = false
			case mesh.DegradedPerformance, mesh.PartialOutage, mesh.MajorOutage:
				open[tr.Host] = true
			}
		}
		if diff := cmp.Diff(all, again); diff != "" {
			t.Fatalf("a repeat changed something: %s", diff)
		}
		inIncident := map[string]bool{}
		for _, i := range all {
			for _, h := range i.Hosts {
				if i.Open() && h.Status != mesh.Operational {
					inIncident[h.Name] = true
				}
			}
		}
		for host, is := range open {
			if inIncident[host] != is {
				t.Fatalf("%s is %s; it is in an open incident: %v", host, last[host], inIncident[host])
			}
		}
		for _, i := range all {
			data, err := json.Marshal(i)
			if secret := strings.Contains(strings.ToLower(string(data)), "secret"); err != nil || secret != i.Internal ||
				i.Internal && (i.Shown(at("23:59:59")) || i.Only([]string{"nc1", "nc2", "secret"}) != nil) {
				t.Fatalf("an internal host is in a public incident, or a public one in an internal: %s %v", data, err)
			}
		}
	})
}

func TestAnEndlessIncidentIsBounded(t *testing.T) {
	b := incident.NewBook(nil, 0)
	var i *incident.Incident
	from, to := mesh.Operational, mesh.MajorOutage
	was, is := mesh.Up, mesh.Down
	for n := range 3 * incident.UpdatesMax {
		tr := transition("NC036", "ping", was, is, from, to, "00:00:00")
		tr.Began = tr.Began.Add(time.Duration(n) * time.Minute)
		tr.Published = tr.Began.Add(time.Second)
		i = b.Apply(tr)
		from, to, was, is = to, from, is, was
	}
	if len(i.Updates) != incident.UpdatesMax || i.LeftOut != 2*incident.UpdatesMax ||
		len(i.Hosts[0].Windows) > incident.WindowsMax {
		t.Errorf("%d updates, %d left out, %d windows", len(i.Updates), i.LeftOut, len(i.Hosts[0].Windows))
	}
}

// The wall clock is stepped back by ten minutes during an outage. Its beginning and its end are shown as the clock
// showed them, and its duration is right.
func TestAnIncidentAcrossAStepOfTheClock(t *testing.T) {
	b := incident.NewBook(nil, 0)
	b.Apply(transition("NC036", "ping", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "02:00:00"))
	recovery := transition("NC036", "ping", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "02:05:00")
	recovery.Offset = 10 * time.Minute
	i := b.Apply(recovery)
	w := i.Hosts[0].Windows[0]
	if d := w.To.Sub(w.From); d != 5*time.Minute {
		t.Errorf("it lasted %v", d)
	}
	for _, test := range []struct{ at, want time.Time }{
		{w.From, at("02:00:00")}, {w.To, at("01:55:00")}, {i.Resolved, at("01:55:02")},
	} {
		if got := i.Wall(test.at); !got.Equal(test.want) {
			t.Errorf("Wall(%v) = %v, want %v", test.at, got, test.want)
		}
	}
	if !i.Wall(time.Time{}).IsZero() {
		t.Error("the zero time, of what has not ended, is not zero")
	}
}

// A catalog may spell a host otherwise while its incident is open: the incident goes on, under the new spelling.
func TestAHostThatIsSpelledOtherwiseKeepsItsIncident(t *testing.T) {
	b := incident.NewBook(nil, 0)
	opened := b.Apply(transition("NC036", "ping", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "06:56:02"))
	got := b.Apply(transition("nc036", "ping", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "07:17:05"))
	if got != opened || got.Open() || len(got.Hosts) != 1 || got.Hosts[0].Name != "nc036" {
		t.Errorf("%+v", got)
	}
}
