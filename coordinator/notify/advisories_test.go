package notify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// advisoriesTo is a route for some kinds of advisories.
func advisoriesTo(name string, kinds ...string) catalog.Route {
	return catalog.Route{Match: catalog.Match{Advisories: kinds}, Channels: []string{name}}
}

// Warnings of the mesh itself go to the routes that name their kinds, and to no others. Each agent is an advisory of
// its own; one that comes and goes is one message; and maintenance of a host explains its silent agent alone.
func TestAdvisories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}, advisoriesTo("b", "silent-agent"),
			advisoriesTo("c", catalog.Advisories()...)))
		b.snapshot = &mesh.Snapshot{Hosts: []mesh.HostState{{Name: "NC041", Status: mesh.UnderMaintenance}}}
		defer b.start(t)()
		b.change(func() {
			b.warnings["silent-nc036"] = "agent silent: NC036"
			b.warnings["silent-nc041"] = "agent silent: NC041"
			b.warnings["disk"] = "disk almost full"
			b.warnings["expiry-123"] = "certificate ends in 4 days"
			b.warnings["pending-nc041-sip"] = "never seen up: NC041 sip"
		})
		time.Sleep(time.Second)
		b.change(func() { b.warnings["silent-nc033"] = "agent silent: NC033" })
		time.Sleep(time.Minute)
		b.change(func() { delete(b.warnings, "silent-nc036") })
		time.Sleep(30 * time.Second)
		b.change(func() { b.warnings["silent-nc036"] = "agent silent: NC036" })
		time.Sleep(10 * time.Minute)
		b.change(func() { delete(b.warnings, "disk"); b.snapshot = &mesh.Snapshot{} })
		time.Sleep(70 * time.Second)
		b.wantSent(t, "0s b ADVISORY agent silent: NC036", "0s c ADVISORY agent silent: NC036",
			"0s c ADVISORY disk almost full", "0s c ADVISORY certificate ends in 4 days",
			"0s c ADVISORY never seen up: NC041 sip", "1s b ADVISORY agent silent: NC033",
			"1s c ADVISORY agent silent: NC033", "11m31s b ADVISORY agent silent: NC041",
			"11m31s c ADVISORY agent silent: NC041", "12m31s c CLEARED disk almost full")
	})
}

// Each subject of a warning has the kind by which routes name it.
func TestKindsOfAdvisories(t *testing.T) {
	for subject, kind := range map[string]string{
		"silent-nc036": "silent-agent", "isolated-nc036": "isolated-vantage", "regions-silent": "regions-silent",
		"disk": "disk", "store": "disk", "ledger-size": "disk", "expiry-123": "certificates", "lag": "lag",
		"certificate-page": "certificates", "certificate refused": "certificates",
		"next-update-overdue-x": "overdue", "next-update-due-x": "overdue", "pending-nc036-sip": "pending",
		"catalog file": "catalog", "refusal": "catalog", "renames": "catalog", "channel hook": "channel",
		"lost-messages": "damage", "lost-texts": "damage", "heartbeat": "coordinator", "unlisted": "other",
	} {
		if got := notify.AdvisoryKind(subject); got != kind {
			t.Errorf("%s: %s, want %s", subject, got, kind)
		}
	}
}

// A channel that cannot be reached is shown at once, and after five minutes it is an advisory, which another route
// sends. When it works again both end.
func TestAnUnreachableChannelIsAnAdvisory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}, advisoriesTo("b", "channel")))
		fails := true
		b.send = func(_ context.Context, c catalog.Channel, _ channel.Message) error {
			if b.mu.Lock(); fails && c.Name == "a" {
				b.mu.Unlock()
				return errors.New("connection refused")
			}
			b.mu.Unlock()
			return nil
		}
		defer b.start(t)()
		b.change(func() { b.incidents = append(b.incidents, outageOf("i1", "NC036")) })
		time.Sleep(20 * time.Second)
		if text := b.allWarnings()["undelivered a"]; text == "" || b.allWarnings()["channel a"] != "" {
			t.Errorf("shown after 20 s: %q", b.allWarnings())
		}
		d, err := b.Deliveries(t.Context())
		if err != nil || len(d) != 4 || d[0].Waiting != 1 || !d[0].Failing || d[0].Failed < 4 {
			t.Errorf("deliveries %+v (%v)", d, err)
		}
		time.Sleep(5 * time.Minute)
		if b.allWarnings()["channel a"] == "" || b.allWarnings()["undelivered a"] != "" {
			t.Errorf("shown after five minutes: %q", b.allWarnings())
		}
		if kinds := notify.Advisories(b.allWarnings()); kinds["channel"] != 1 || len(kinds) != 1 {
			t.Errorf("advisories %v", kinds)
		}
		b.change(func() { fails = false })
		time.Sleep(15 * time.Minute)
		if len(b.allWarnings()) > 0 {
			t.Errorf("still shown: %q", b.allWarnings())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		all := strings.Join(b.sent, "\n")
		want := []string{"5m0s b ADVISORY the channel a has", "a DOWN NC036: major outage", "b CLEARED the channel a"}
		for _, text := range want {
			if len(b.sent) != len(want) || !strings.Contains(all, text) {
				t.Errorf("sent %q, want %q", b.sent, want)
			}
		}
	})
}

// A coordinator that was down says so when it is back, in one message. A restart is none.
func TestACoordinatorThatWasDownSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}, advisoriesTo("b", "coordinator")))
		now := time.Now()
		b.pauses = []sla.Window{
			{From: now.Add(-50 * time.Minute), To: now.Add(-50*time.Minute + 25*time.Second)},
			{From: now.Add(-12 * time.Minute), To: now.Add(-time.Second)},
		}
		b.events = []ledger.NotifyEvent{{ID: "x", Action: ledger.NotifyBegun, At: now.Add(-time.Hour)}}
		stop := b.start(t)
		time.Sleep(30 * time.Second)
		stop()
		defer b.start(t)() // again: it is reported once
		time.Sleep(30 * time.Second)
		b.wantSent(t, "0s b BACK nothing was judged for 11 min 59 s")
	})
}

// A flapping outage is reported three times, and then in one message with a count, until it stays away.
func TestFlapping(t *testing.T) {
	w := newNeedsWorld()
	steps := map[int]string{}
	for n := range 8 {
		steps[60*n], steps[60*n+30] = "41 Web down", "41 Web up"
	}
	w.play(steps, 1200)
	w.wantSent(t, "0s opened NC041", "30s over NC041", "1m0s opened NC041", "1m30s over NC041", "2m0s opened NC041",
		"2m30s over NC041", "3m0s opened NC041", "17m30s over NC041")
	last := w.alerts[len(w.alerts)-1]
	if last.Flaps != 8 {
		t.Errorf("%d times", last.Flaps)
	}
}

// Maintenance that begins during an outage suppresses reminders about what it covers, and about nothing else.
func TestMaintenanceSuppressesWhatItCovers(t *testing.T) {
	for covered, want := range map[string][]string{
		"Web":  {"0s opened NC041"},
		"Mail": {"0s opened NC041", "10m0s repeated-1 NC041"},
	} {
		w := newNeedsWorld()
		w.notify.Routes[0].Repeat = 10 * time.Minute
		w.snapshot = &mesh.Snapshot{Hosts: []mesh.HostState{{Name: "NC041", Checks: []mesh.CheckState{
			{Name: covered, Maintenance: "m1"},
		}}}}
		before := w.snapshot
		w.snapshot = nil
		w.play(map[int]string{0: "41 Web down"}, 60)
		w.snapshot = before
		w.play(nil, 900)
		w.wantSent(t, want...)
	}
}

// The end of an advisory does not read as if it lasted.
func TestTheEndOfAnAdvisorySaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(advisoriesTo("b", "silent-agent")))
		var last notify.Data
		b.send = func(_ context.Context, _ catalog.Channel, m channel.Message) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			last = m.Data.(notify.Data)
			return nil
		}
		defer b.start(t)()
		b.change(func() { b.warnings["silent-nc036"] = "agent silent: NC036. Nothing is seen from there." })
		time.Sleep(time.Minute)
		b.change(func() { delete(b.warnings, "silent-nc036") })
		time.Sleep(90 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if last.State != "over" || !strings.HasPrefix(last.Title, "over after 2 min") ||
			!strings.HasPrefix(last.Text, "This is over. It was: agent silent") {
			t.Errorf("sent %+v", last)
		}
	})
}

// Warnings of different subjects are different advisories, also where their names differ only in what ids cannot spell.
func TestAdvisoriesOfSimilarSubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(advisoriesTo("c", "channel", "pending")))
		ids := map[string]bool{}
		b.send = func(_ context.Context, _ catalog.Channel, m channel.Message) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			ids[m.Data.(notify.Data).ID] = true
			return nil
		}
		defer b.start(t)()
		b.change(func() {
			for _, subject := range []string{
				"channel a.b", "channel a-b", "channel A-b", "channel-a-b", "pending-a b-c", "pending-a-b c", "pending-a/b-c",
			} {
				b.warnings[subject] = subject
			}
		})
		time.Sleep(time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(ids) != 7 || len(b.sent) != 7 || !ids["advisory-channel-a-b"] {
			t.Errorf("7 warnings: ids %v, sent %q", ids, b.sent)
		}
	})
}

// An advisory that an earlier version sent under an id without a digest is not sent again: it keeps that id, and its
// acknowledgement, until it is over. The other warning that had the same id is an advisory of its own, also after a
// further restart.
func TestAnAdvisoryKeepsTheIDThatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(advisoriesTo("c", "channel")))
		const plain = "advisory-channel-a-b"
		b.events = []ledger.NotifyEvent{
			{
				ID: notify.MessageID(notify.Alert{ID: plain}, "opened", "c"), Action: ledger.NotifySent, Alert: plain,
				Step: "opened", Channel: "c", At: time.Now().Add(-time.Hour),
			},
		}
		b.warnings["channel a.b"], b.warnings["channel a_b"] = "channel a.b", "channel a_b"
		for range 2 {
			stop := b.start(t)
			time.Sleep(2 * time.Minute)
			if err := b.Acknowledge(t.Context(), plain, "link"); err != nil {
				t.Error(err)
			}
			stop()
		}
		stop := b.start(t)
		time.Sleep(time.Minute)
		b.change(func() { delete(b.warnings, "channel a.b") })
		time.Sleep(2 * time.Minute)
		b.change(func() { b.warnings["channel a.b"] = "channel a.b" })
		time.Sleep(time.Minute)
		stop()
		b.wantSent(t, "0s c ADVISORY channel a_b", "6m0s c CLEARED channel a.b", "7m0s c ADVISORY channel a.b")
	})
}
