package incident_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// The outage of mail at 19:51, with the sentences that its clients read.
func TestTheTextsOfAnOutage(t *testing.T) {
	b := incident.NewBook(nil, 0)
	fail := transition("NC036", "Sending mail", mesh.Up, mesh.Down, mesh.Operational, mesh.PartialOutage, "19:51:05")
	fail.Tally = mesh.Tally{Voters: 7, Bad: 7}
	b.Apply(fail)
	i := b.Apply(transition("NC036", "Sending mail", mesh.Down, mesh.Up, mesh.PartialOutage, mesh.Operational, "19:54:48"))
	want := []string{
		"Sending mail stopped at 19:51 UTC. Confirmed from 7 of 7 regions at 19:51 UTC.",
		"Sending mail works again after 3 min 43 s.",
	}
	if diff := cmp.Diff(want, texts(i)); diff != "" {
		t.Error(diff)
	}
	// The header has the same duration as the text, although the recovery was published two seconds later.
	if got := incident.FormatDuration(i.Downtime(i.Resolved)); got != "3 min 43 s" {
		t.Error(got)
	}
}

func texts(i *incident.Incident) (out []string) {
	for _, u := range i.Updates {
		out = append(out, i.Text(u))
	}
	return out
}

// An incident that is reopened says that everything worked meanwhile, and counts the windows alone.
func TestAReopenedIncidentSaysThatItHadStopped(t *testing.T) {
	b := incident.NewBook(nil, 0)
	b.Apply(transition("NC036", "web", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "02:00:00"))
	b.Apply(transition("NC036", "web", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "02:05:00"))
	b.Apply(transition("NC036", "web", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "02:14:00"))
	i := b.Apply(transition("NC036", "web", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "02:15:30"))
	if got := texts(i)[2]; !strings.HasSuffix(got, " Everything had worked from 02:05 UTC to 02:14 UTC.") {
		t.Error(got)
	}
	if got := texts(i)[3]; got != "web works again after 1 min 30 s." {
		t.Error(got)
	}
	if got := i.Downtime(i.Resolved); got != 6*time.Minute+30*time.Second {
		t.Errorf("it lasted %v", got)
	}
}

// Checks that fail at the same time count once.
func TestParallelWindowsCountOnce(t *testing.T) {
	b := incident.NewBook(nil, 0)
	b.Apply(transition("NC036", "a", mesh.Up, mesh.Down, mesh.Operational, mesh.PartialOutage, "02:00:00"))
	b.Apply(transition("NC036", "b", mesh.Up, mesh.Down, mesh.PartialOutage, mesh.PartialOutage, "02:01:00"))
	i := b.Apply(transition("NC036", "a", mesh.Down, mesh.Up, mesh.PartialOutage, mesh.PartialOutage, "02:02:00"))
	if got := i.Downtime(at("02:04:00")); got != 4*time.Minute {
		t.Errorf("after four minutes: %v", got)
	}
	if got := i.Text(i.Updates[2]); got != "a works again after 2 min. The incident goes on." {
		t.Error(got)
	}
	i = b.Apply(transition("NC036", "b", mesh.Down, mesh.Up, mesh.PartialOutage, mesh.Operational, "02:05:00"))
	if got := i.Downtime(i.Resolved); got != 5*time.Minute {
		t.Errorf("it lasted %v", got)
	}
}

// cut takes hosts away within a second, and brings them back.
func cut(b *incident.Book, hosts ...string) (i *incident.Incident) {
	for n, host := range hosts {
		fail := transition(host, "ping", mesh.Up, mesh.Down, mesh.Operational, mesh.MajorOutage, "02:31:00")
		fail.Published = fail.Published.Add(time.Duration(n) * 200 * time.Millisecond)
		fail.Cause, fail.Tally = "812-0", mesh.Tally{Voters: 7, Bad: 6}
		fail.ID, fail.Sentence = fmt.Sprintf("812-%s-1", mesh.Key(host)), "Down: did not answer."
		for range 2 { // a replay repeats it
			i = orElse(b.Apply(fail), i)
		}
	}
	for n, host := range hosts {
		mend := transition(host, "ping", mesh.Down, mesh.Up, mesh.MajorOutage, mesh.Operational, "02:37:00")
		mend.Published = mend.Published.Add(time.Duration(n) * 200 * time.Millisecond)
		b.Apply(mend)
	}
	return i
}

func orElse(i, other *incident.Incident) *incident.Incident {
	if i == nil {
		return other
	}
	return i
}

func TestACutOfFourHostsIsOneUpdateThatNamesTheFour(t *testing.T) {
	i := cut(incident.NewBook(nil, 0), "NC033", "NC040", "NC041", "NC042")
	want := []string{
		"NC033, NC040, NC041 and NC042 stopped answering at 02:31 UTC. Confirmed from 6 of 7 regions at 02:31 UTC.",
		"NC033, NC040, NC041 and NC042 answer again after 6 min.",
	}
	if diff := cmp.Diff(want, texts(i)); diff != "" {
		t.Error(diff)
	}
	if i.Open() || i.Updates[1].State != incident.Resolved || len(i.Updates[0].Parts()) != 4 {
		t.Errorf("%+v", i.Updates)
	}
	// A host that became internal is in no part, also where it failed first.
	public := i.Only([]string{"nc040", "nc041"})
	wanted := "NC040 and NC041 stopped answering at 02:31 UTC. Confirmed from 6 of 7 regions at 02:31 UTC."
	if got := texts(public)[0]; got != wanted {
		t.Error(got)
	}
	if e := public.Updates[0].Evidence(); strings.Contains(e, "NC033") || !strings.Contains(e, "NC041 ping: Down") {
		t.Error(e)
	}
}

// No update contradicts its state.
func TestNoUpdateContradictsItsState(t *testing.T) {
	i := &incident.Incident{}
	for _, test := range []struct {
		update incident.Update
		want   string
	}{
		{incident.Update{State: incident.Investigating, Host: "NC036", Check: "web", Verdict: mesh.Up},
			"web works again. The incident goes on."},
		{incident.Update{State: incident.Resolved, Over: true, Host: "NC036", Check: "web", Verdict: mesh.Up},
			"web works again."},
		{incident.Update{State: incident.Resolved, Over: true, Host: "NC036", Check: "web", Verdict: mesh.Down,
			Began: at("02:00:00"), At: at("02:01:00"), Bad: 7, Voters: 7},
			"NC036 is operational again. web stopped at 02:00 UTC. Confirmed from 7 of 7 regions at 02:01 UTC."},
		{incident.Update{Host: "NC036", Check: "web", Verdict: mesh.Down, Began: at("02:00:00"), At: at("02:01:00"),
			Bad: 7, Voters: 7, With: []incident.Update{{Host: "NC036", Check: "mail", Bad: 6, Voters: 7}}},
			"web and mail stopped at 02:00 UTC. Confirmed from at least 6 of 7 regions at 02:01 UTC."},
		{incident.Update{State: incident.Investigating, Host: "NC036", Check: "web", Verdict: mesh.Unknown, Body: "Unknown."},
			"Unknown."},
	} {
		if got := i.Text(test.update); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// An update names what failed: a host by itself only where its ping failed.
func TestAnUpdateNamesWhatFailed(t *testing.T) {
	website := incident.Update{Host: "Website", Check: "ping"}
	mail := incident.Update{Host: "Mail", Check: "Sending mail"}
	relay := incident.Update{Host: "Relay", Check: "Sending mail"}
	ssh := incident.Update{Host: "Mail", Check: "SSH"}
	for _, test := range []struct {
		verdict       mesh.Verdict
		parts         []incident.Update
		want, unnamed string
	}{
		{mesh.Down, []incident.Update{website}, "Website stopped answering at 02:00 UTC.", ""},
		{mesh.Down, []incident.Update{mail}, "Sending mail stopped at 02:00 UTC.", "Mail"},
		{mesh.Down, []incident.Update{mail, ssh}, "Sending mail and SSH stopped at 02:00 UTC.", "Mail"},
		{mesh.Down, []incident.Update{website, mail},
			"Website stopped answering, and Sending mail of Mail stopped, at 02:00 UTC.", ""},
		{mesh.Down, []incident.Update{mail, relay}, "Sending mail of Mail and Relay stopped at 02:00 UTC.", ""},
		{mesh.Partial, []incident.Update{website, mail},
			"Website and Sending mail of Mail cannot be reached from some places since 02:00 UTC.", ""},
		{mesh.Degraded, []incident.Update{website}, "Website is slow or unreliable since 02:00 UTC.", ""},
		{mesh.Up, []incident.Update{website, mail},
			"Website answers, and Sending mail of Mail works, again after 1 min 12 s.", ""},
	} {
		u := test.parts[0]
		u.With = test.parts[1:]
		u.Verdict, u.Began, u.At = test.verdict, at("02:00:00"), at("02:00:02")
		if test.verdict == mesh.Up { // 71 s, which are a part of 72 whole seconds
			u.Began, u.Lasted, u.Over = at("02:00:00").Add(100*time.Millisecond), 71*time.Second, true
		}
		if got := (&incident.Incident{}).Text(u); !strings.HasPrefix(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
		if got := u.Unnamed(); got != test.unnamed {
			t.Errorf("%q does not name %q, want %q", test.want, got, test.unnamed)
		}
	}
	over := mail
	over.Verdict, over.Over = mesh.Down, true
	if got := over.Unnamed(); got != "" {
		t.Errorf("the text begins with the host, and so does the page: %q", got)
	}
}

// Uptime, windows, incidents and texts count the same seconds of one outage.
func TestAnOutageHasOneLength(t *testing.T) {
	from := time.Date(2026, 3, 1, 2, 31, 7, 900_000_000, time.UTC)
	to := from.Add(71200 * time.Millisecond)
	line := sla.New([]sla.Span{
		{State: sla.Up, Began: from.Add(-time.Hour), Published: from.Add(-time.Hour), Until: from.Add(2 * time.Second)},
		{State: sla.Down, Began: from, Published: from.Add(2 * time.Second), Until: to.Add(2 * time.Second)},
		{State: sla.Up, Began: to, Published: to.Add(2 * time.Second)},
	}, nil, nil)
	uptime := time.Duration(line.Measure(from.Add(-time.Minute), to.Add(time.Minute)).Down) * time.Second
	i := incident.Incident{Hosts: []incident.Host{{Name: "NC036", Status: mesh.Operational, Worst: mesh.MajorOutage,
		Windows: []incident.Window{{Check: "web", Verdict: mesh.Down, From: from, To: to}}}}}
	text := i.Text(incident.Update{
		Host: "NC036", Check: "web", Verdict: mesh.Up, Over: true, Began: to, Lasted: to.Sub(from),
	})
	for name, got := range map[string]time.Duration{
		"window": incident.WholeSeconds(from, to), "incident": i.Downtime(to.Add(time.Minute)),
		"page": incident.Covered(i.Hosts[0].Windows, to),
	} {
		if got != uptime {
			t.Errorf("%s: %v, and by the uptime %v", name, got, uptime)
		}
	}
	if want := "web works again after " + incident.FormatDuration(uptime) + "."; text != want {
		t.Errorf("%q, want %q", text, want)
	}
}

// People read one spelling, and programs the state that Statuspage has.
func TestAPostMortemIsSpeltOneWay(t *testing.T) {
	if word := incident.Postmortem.Word(); word != "post-mortem" || incident.Resolved.Word() != "resolved" {
		t.Error(word)
	}
}
