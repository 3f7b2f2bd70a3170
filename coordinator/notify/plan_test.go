package notify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// channels are the channels a, b, c and d.
func config(routes ...catalog.Route) *catalog.Notify {
	n := &catalog.Notify{Routes: routes}
	for _, name := range []string{"a", "b", "c", "d"} {
		n.Channels = append(n.Channels, catalog.Channel{Name: name, URL: catalog.SecretText{Text: "x://y"}})
	}
	return n
}

// world runs plans over time: whatever is due is sent at once, unless its channel fails.
type world struct {
	notify  *catalog.Notify
	state   notify.State
	alerts  []notify.Alert
	failing map[string]bool
	story   []string
}

func newWorld(n *catalog.Notify) *world {
	return &world{notify: n, state: notify.NewState(nil), failing: map[string]bool{}}
}

func (w *world) add(e ledger.NotifyEvent) { w.state.Add(e) }

// run advances the time in steps, and records what was sent when: "60s opened a".
func (w *world) run(from, to, step time.Duration) {
	for at := from; at <= to; at += step {
		w.state.Failing = w.failing
		now := noon.Add(at)
		due, _ := notify.Plan(w.notify, w.state, w.alerts, now)
		for _, m := range due {
			if w.failing[m.Channel] {
				continue
			}
			w.story = append(w.story, fmt.Sprintf("%v %s %s", at, m.Step, m.Channel))
			w.add(ledger.NotifyEvent{
				ID: m.ID, Action: ledger.NotifySent, Alert: m.Alert.ID, Round: m.Alert.Round, Step: m.Step,
				Channel: m.Channel, At: now, Hosts: m.Hosts, Severity: string(m.Severity),
			})
		}
	}
}

func (w *world) wantSent(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.story, want) {
		t.Errorf("sent\n\t%s\nwant\n\t%s", strings.Join(w.story, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func mail() notify.Alert {
	return notify.Alert{
		ID: "i1", Severity: catalog.Major, Opened: noon,
		Hosts: []notify.Host{{
			Name: "NC036", ID: "nc036", Group: "Mail", Region: "amsterdam", Labels: map[string]string{"tier": "1"},
			Checks: []string{"Sending mail"}, Kinds: []string{"smtp"}, Severity: catalog.Major, Failed: noon,
		}},
	}
}

func TestAnOutageIsToldOnceRepeatedAndEscalated(t *testing.T) {
	w := newWorld(config(catalog.Route{
		Channels: []string{"a"}, After: time.Minute, Repeat: 30 * time.Minute,
		Escalate: []catalog.Escalation{{After: 15 * time.Minute, Channels: []string{"b"}}},
	}))
	w.alerts = []notify.Alert{mail()}
	w.run(0, 65*time.Minute, time.Minute)
	w.alerts[0].Over = noon.Add(66 * time.Minute)
	w.run(66*time.Minute, 100*time.Minute, time.Minute)
	w.wantSent(t, "1m0s opened a", "15m0s escalated-1 b", "31m0s repeated-1 a", "1h1m0s repeated-2 a", "1h6m0s over a",
		"1h6m0s over b")
}

func TestAnAcknowledgementEndsRemindersAndNotTheEnd(t *testing.T) {
	w := newWorld(config(catalog.Route{
		Channels: []string{"a"}, Repeat: 10 * time.Minute,
		Escalate: []catalog.Escalation{{After: 15 * time.Minute, Channels: []string{"b"}}},
	}))
	w.alerts = []notify.Alert{mail()}
	w.run(0, 12*time.Minute, time.Minute)
	w.add(ledger.NotifyEvent{ID: "x", Action: ledger.NotifyAcknowledged, Alert: "i1"})
	w.run(13*time.Minute, 40*time.Minute, time.Minute)
	w.alerts[0].Over = noon.Add(41 * time.Minute)
	w.run(41*time.Minute, 42*time.Minute, time.Minute)
	// It comes back: that nobody looks after.
	w.alerts[0].Round, w.alerts[0].Over, w.alerts[0].Opened = 1, time.Time{}, noon.Add(45*time.Minute)
	w.run(45*time.Minute, 55*time.Minute, time.Minute)
	w.wantSent(t, "0s opened a", "10m0s repeated-1 a", "41m0s over a", "45m0s opened a", "55m0s repeated-1 a")
}

// Hosts that join an incident after its first message are in one more, and so is that it became worse.
func TestAnIncidentThatGrows(t *testing.T) {
	w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
	w.alerts = []notify.Alert{mail()}
	w.run(0, 0, 1)
	grow := func(at time.Duration, name string) {
		a := &w.alerts[0]
		a.Hosts, a.Changed = append(a.Hosts, notify.Host{Name: name, ID: strings.ToLower(name)}), noon.Add(at)
		w.run(at, at, 1)
	}
	grow(time.Second, "NC033")
	grow(2*time.Second, "NC035")
	w.run(3*time.Second, 20*time.Second, time.Second)
	w.add(ledger.NotifyEvent{ID: "x", Action: ledger.NotifyAcknowledged, Alert: "i1", By: "somebody", At: noon})
	w.alerts[0].Severity = catalog.Critical
	w.run(30*time.Second, 40*time.Second, time.Second)
	w.alerts[0].Over = noon.Add(time.Minute)
	w.run(time.Minute, time.Minute, 1)
	w.wantSent(t, "0s opened a", "5s grown-3-major a", "30s grown-3-critical a", "1m0s over a")
}

func TestWhatIsOverBeforeItsDelayIsNotReported(t *testing.T) {
	w := newWorld(
		config(catalog.Route{Channels: []string{"a"}, After: time.Minute}, catalog.Route{Channels: []string{"b"}}),
	)
	w.alerts = []notify.Alert{mail()}
	w.run(0, 20*time.Second, 10*time.Second)
	w.alerts[0].Over = noon.Add(30 * time.Second)
	w.run(30*time.Second, 5*time.Minute, 10*time.Second)
	w.wantSent(t, "0s opened b", "30s over b")
}

// A coordinator that was down reports what happened meanwhile: in one message, since it is over.
func TestAnOutageDuringARestartIsToldInOneMessage(t *testing.T) {
	w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
	w.add(ledger.NotifyEvent{ID: "b", Action: ledger.NotifyBegun, At: noon.Add(-time.Hour)})
	old := mail()
	old.ID, old.Opened, old.Over = "i0", noon.Add(
		-3*time.Hour,
	), noon.Add(
		-2*time.Hour,
	) // before notifications began
	w.alerts = []notify.Alert{old, mail()}
	w.alerts[1].Over = noon.Add(time.Minute)
	w.run(5*time.Minute, 10*time.Minute, time.Minute)
	w.wantSent(t, "5m0s over a")
}

func TestQuietHoursDelay(t *testing.T) {
	quiet := &catalog.Quiet{From: "13:00", To: "07:00", Zone: "Africa/Lusaka", Unless: catalog.Critical} // UTC+2
	w := newWorld(config(catalog.Route{Channels: []string{"a"}, Quiet: quiet}))
	severe := mail()
	severe.ID, severe.Severity = "i2", catalog.Critical
	over := mail()
	over.ID, over.Over = "i3", noon.Add(time.Hour)
	w.alerts = []notify.Alert{mail(), severe, over}
	w.run(0, 20*time.Hour, 30*time.Minute)
	w.wantSent(t, "0s opened a", "17h0m0s opened a", "17h0m0s over a")
}

func TestTheFallbackIsUsedWhenAllChannelsFail(t *testing.T) {
	w := newWorld(config(catalog.Route{Channels: []string{"a", "b"}, Fallback: []string{"c"}}))
	w.alerts = []notify.Alert{mail()}
	w.failing = map[string]bool{"a": true}
	w.run(0, time.Minute, time.Minute)
	other := mail()
	other.ID = "i2"
	w.alerts = append(w.alerts, other)
	w.failing = map[string]bool{"a": true, "b": true}
	w.run(2*time.Minute, 3*time.Minute, time.Minute)
	w.failing = nil
	w.alerts[1].Over = noon.Add(4 * time.Minute)
	w.run(4*time.Minute, 5*time.Minute, time.Minute)
	w.wantSent(t, "0s opened b", "2m0s opened c", "4m0s opened a", "4m0s over c")
}

func TestRoutes(t *testing.T) {
	for name, test := range map[string]struct {
		match catalog.Match
		takes bool
	}{
		"everything":     {catalog.Match{}, true},
		"the group":      {catalog.Match{Groups: []string{"mail"}}, true},
		"another group":  {catalog.Match{Groups: []string{"Web"}}, false},
		"the severity":   {catalog.Match{Severity: catalog.Major}, true},
		"more severe":    {catalog.Match{Severity: catalog.Critical}, false},
		"the label":      {catalog.Match{Labels: map[string]string{"tier": "1"}}, true},
		"another label":  {catalog.Match{Labels: map[string]string{"tier": "2"}}, false},
		"the kind":       {catalog.Match{Kinds: []string{"dns", "smtp"}}, true},
		"another kind":   {catalog.Match{Kinds: []string{"dns"}}, false},
		"one of two":     {catalog.Match{Hosts: []string{"nc036"}, Regions: []string{"lusaka"}}, false},
		"advisories":     {catalog.Match{Advisories: []string{"disk"}}, false},
		"host and group": {catalog.Match{Hosts: []string{"nc036"}, Groups: []string{"Mail"}}, true},
	} {
		w := newWorld(config(catalog.Route{Match: test.match, Channels: []string{"a"}}))
		w.alerts = []notify.Alert{mail()}
		w.run(0, 0, 1)
		if takes := len(w.story) > 0; takes != test.takes {
			t.Errorf("%s: the route takes it: %t", name, takes)
		}
	}
	w := newWorld(config(catalog.Route{}, catalog.Route{
		Match: catalog.Match{Advisories: []string{"disk"}}, Channels: []string{"d"},
	}))
	w.alerts = []notify.Alert{{ID: "advisory-disk", Advisory: "disk", Opened: noon}}
	w.run(0, 0, 1)
	w.wantSent(t, "0s opened d") // no route without match takes an advisory
}

func TestSilences(t *testing.T) {
	silence := func(s ledger.Silence) ledger.NotifyEvent {
		s.ID, s.From, s.Until = "s1", noon.Add(-time.Hour), noon.Add(10*time.Minute)
		return ledger.NotifyEvent{ID: "s1", Action: ledger.NotifySilenced, Silence: &s}
	}
	for name, test := range map[string]struct {
		silence ledger.Silence
		sent    string
	}{
		"of the host":         {ledger.Silence{Host: "nc036"}, "10m0s opened a"},
		"of another host":     {ledger.Silence{Host: "nc041"}, "0s opened a"},
		"of the check":        {ledger.Silence{Check: "sending mail"}, "10m0s opened a"},
		"of another check":    {ledger.Silence{Host: "nc036", Check: "Webmail"}, "0s opened a"},
		"of the label":        {ledger.Silence{Labels: map[string]string{"tier": "1"}}, "10m0s opened a"},
		"of group and region": {ledger.Silence{Group: "Mail"}, "10m0s opened a"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
			w.add(silence(test.silence))
			w.alerts = []notify.Alert{mail()}
			w.run(0, 12*time.Minute, time.Minute)
			w.wantSent(t, test.sent)
		})
	}
	w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
	w.add(silence(ledger.Silence{Host: "nc036"}))
	w.alerts = []notify.Alert{mail()}
	w.run(0, 2*time.Minute, time.Minute)
	w.add(ledger.NotifyEvent{ID: "s1", Action: ledger.NotifyUnsilenced})
	w.run(3*time.Minute, 4*time.Minute, time.Minute)
	w.wantSent(t, "3m0s opened a")
}

// Whatever the routes, the channels that fail and the restarts: no message is sent twice, no channel gets
// the end of something without its beginning, unless nobody got that, and every channel that got the beginning gets the
// end.
func TestEveryMessageOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 3, rapid.ID[string])
		minutes := func(most int, label string) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Minute
		}
		var routes []catalog.Route
		for range rapid.IntRange(1, 3).Draw(t, "routes") {
			r := catalog.Route{Channels: names.Draw(t, "channels"), After: minutes(5, "after")}
			if rapid.Bool().Draw(t, "repeats") {
				r.Repeat = minutes(10, "repeat") + time.Minute
			}
			if rapid.Bool().Draw(t, "escalates") {
				r.Escalate = []catalog.Escalation{{After: minutes(20, "escalate"), Channels: names.Draw(t, "to")}}
			}
			if rapid.Bool().Draw(t, "falls back") {
				r.Fallback = names.Draw(t, "fallback")
			}
			routes = append(routes, r)
		}
		w := newWorld(config(routes...))
		w.alerts = []notify.Alert{mail()}
		lasts := minutes(40, "lasts")
		for at := time.Duration(0); at < 2*time.Hour; at += time.Minute {
			if at >= lasts && w.alerts[0].Over.IsZero() {
				w.alerts[0].Over = noon.Add(at)
			}
			w.failing = map[string]bool{}
			if at < time.Hour {
				for _, c := range []string{"a", "b", "c", "d"} {
					w.failing[c] = rapid.IntRange(0, 3).Draw(t, "fails") == 0
				}
			}
			w.run(at, at, 1)
		}
		seen, began, over := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, line := range w.story {
			fields := strings.Fields(line)
			if key := fields[1] + " " + fields[2]; seen[key] {
				t.Fatalf("%s twice:\n%s", key, strings.Join(w.story, "\n"))
			} else {
				seen[key] = true
			}
			at, _ := time.ParseDuration(fields[0])
			switch {
			case fields[1] == "over" && !began[fields[2]] && len(began) > 0:
				t.Fatalf("%s comes without a beginning:\n%s", line, strings.Join(w.story, "\n"))
			case fields[1] == "over":
				over[fields[2]] = true
			case at < lasts:
				began[fields[2]] = true
			}
		}
		for c := range began {
			if !over[c] {
				t.Fatalf("%s never reads that it is over:\n%s", c, strings.Join(w.story, "\n"))
			}
		}
	})
}

// What began and ended in a silence gets no message, not even after it: nobody would know what is over. What was
// reported before a silence began gets its last message, even within it.
func TestASilenceAndTheEnd(t *testing.T) {
	silence := ledger.NotifyEvent{
		ID: "s1", Action: ledger.NotifySilenced, Silence: &ledger.Silence{
			ID: "s1", Host: "nc036", From: noon.Add(30 * time.Second), Until: noon.Add(10 * time.Minute),
		},
	}
	for name, test := range map[string]struct {
		opened time.Duration
		want   []string
	}{
		"the beginning was sent": {0, []string{"0s opened a", "5m0s over a"}},
		"it was not":             {time.Minute, nil},
	} {
		w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
		w.add(silence)
		m := mail()
		m.Opened = noon.Add(test.opened)
		w.alerts = []notify.Alert{m}
		w.run(test.opened, 4*time.Minute, time.Minute)
		w.alerts[0].Over = noon.Add(5 * time.Minute)
		w.run(5*time.Minute, 20*time.Minute, time.Minute)
		t.Run(name, func(t *testing.T) { w.wantSent(t, test.want...) })
	}
}
