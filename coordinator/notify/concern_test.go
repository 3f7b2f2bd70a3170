package notify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// joins adds a host of a group to the only alert, some time after noon.
func (w *world) joins(at time.Duration, name, group string, severity catalog.Severity) {
	a := &w.alerts[0]
	a.Hosts = append(a.Hosts, notify.Host{
		Name: name, ID: strings.ToLower(name), Group: group, Severity: severity, Failed: noon.Add(at),
	})
	if a.Changed = noon.Add(at); !a.Severity.AtLeast(severity) {
		a.Severity = severity
	}
}

// A route counts the hosts that it matches. What others of the incident do is no news to its channels, nor how severe
// that is. A channel of two routes counts what either matches.
func TestGrowthCountsWhatTheRouteMatches(t *testing.T) {
	w := newWorld(config(
		catalog.Route{Match: catalog.Match{Groups: []string{"Mail"}}, Channels: []string{"a", "c"}},
		catalog.Route{Channels: []string{"b"}},
		catalog.Route{Match: catalog.Match{Groups: []string{"Web"}}, Channels: []string{"c"}},
	))
	w.alerts = []notify.Alert{mail()}
	w.run(0, 0, 1)
	w.joins(10*time.Second, "NC041", "Web", catalog.Critical)
	w.run(10*time.Second, 20*time.Second, time.Second)
	w.joins(30*time.Second, "NC037", "Mail", catalog.Major)
	w.run(30*time.Second, 40*time.Second, time.Second)
	w.wantSent(t,
		"0s opened a", "0s opened c", "0s opened b",
		"10s grown-2-critical c", "10s grown-2-critical b",
		"33s grown-2-major a", "33s grown-3-critical c", "33s grown-3-critical b")
}

// A host that somebody silenced, or that is under maintenance, does not make an incident grow, and a route that matches
// no other one sends nothing. Once that is over, it does.
func TestGrowthDoesNotCountSilencedHosts(t *testing.T) {
	w := newWorld(config(
		catalog.Route{Channels: []string{"a"}},
		catalog.Route{Match: catalog.Match{Hosts: []string{"NC041", "NC031"}}, Channels: []string{"b"}},
	))
	w.add(ledger.NotifyEvent{
		ID: "s1", Action: ledger.NotifySilenced, Silence: &ledger.Silence{
			ID: "s1", Host: "nc041", From: noon, Until: noon.Add(time.Minute),
		},
	})
	w.alerts = []notify.Alert{mail()}
	w.run(0, 0, 1)
	w.joins(10*time.Second, "NC041", "Web", catalog.Major)
	w.joins(10*time.Second, "NC031", "Web", catalog.Major)
	w.alerts[0].Hosts[2].Covered = true
	w.run(10*time.Second, 90*time.Second, time.Second)
	w.alerts[0].Hosts[2].Covered = false
	w.run(91*time.Second, 99*time.Second, time.Second)
	w.wantSent(
		t,
		"0s opened a",
		"1m0s grown-2-major a",
		"1m0s opened b",
		"1m31s grown-3-major a",
		"1m31s grown-2-major b",
	)
}

// Hosts that fail one after the other, never three seconds apart, are reported after fifteen seconds all the same.
func TestACascadeDoesNotDelayTheCount(t *testing.T) {
	w := newWorld(config(catalog.Route{Channels: []string{"a"}}))
	w.alerts = []notify.Alert{mail()}
	for second := range 40 {
		at := time.Duration(second) * time.Second
		if second > 0 && second%2 == 0 {
			w.joins(at, fmt.Sprintf("NC1%02d", second), "Web", catalog.Major)
		}
		w.run(at, at, 1)
	}
	w.wantSent(t, "0s opened a", "17s grown-9-major a", "33s grown-17-major a")
}

// A channel that got no message of a failure, since a maintenance was announced before that was due, gets none of its
// end. One that did gets both, within the maintenance, too.
func TestAMaintenanceAndTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		after            time.Duration
		announced, ended int // the second of the maintenance
		up               int
		want             []string
	}{
		"the beginning was sent":           {0, 20, 200, 100, []string{"5s opened NC033", "1m40s over NC033"}},
		"it was not":                       {time.Minute, 20, 200, 100, nil},
		"it fails on after it":             {time.Minute, 20, 80, 100, []string{"1m20s opened NC033", "1m40s over NC033"}},
		"it works again, then it is ended": {time.Minute, 20, 101, 100, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNeedsWorld()
			w.notify = config(catalog.Route{Channels: []string{"a"}, After: test.after})
			for second := range 1200 {
				steps := map[int]string{}
				switch second {
				case 5:
					steps[0] = "33 DNS down"
				case test.up:
					steps[0] = "33 DNS up"
				case test.announced:
					w.cover("NC033", "m1")
				case test.ended:
					w.cover("NC033", "")
				}
				w.playAt(time.Duration(second)*time.Second, steps[0])
			}
			if !slices.Equal(w.story, test.want) {
				t.Errorf("sent %q, want %q", w.story, test.want)
			}
		})
	}
}
