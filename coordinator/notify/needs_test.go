package notify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// needsWorld is a mesh in which NC036 needs NC033, and its check Webmail needs NC041, too.
type needsWorld struct {
	*world
	catalog   *catalog.Catalog
	incidents []*incident.Incident
	count     int
	snapshot  *mesh.Snapshot
	hosts     map[string]map[string]mesh.Verdict // what fails, by host
	covered   map[string]string                  // the maintenance that covers a host
}

func newNeedsWorld(public ...string) *needsWorld {
	c := &catalog.Catalog{Hosts: []catalog.Host{
		{Name: "NC033", Checks: []catalog.Check{{Name: "DNS", Kind: "dns"}}},
		{Name: "NC036", Needs: []string{"NC033"}, Checks: []catalog.Check{
			{Name: "Mail", Kind: "smtp"}, {Name: "Webmail", Kind: "http", Needs: []string{"NC041"}},
		}},
		{Name: "NC041", Checks: []catalog.Check{{Name: "Web", Kind: "http"}}},
	}}
	for i := range c.Hosts {
		c.Hosts[i].Public = len(public) == 0 || slices.Contains(public, c.Hosts[i].Name)
	}
	catalog.Seal(c)
	return &needsWorld{
		world: newWorld(config(catalog.Route{Channels: []string{"a"}})), catalog: c,
		hosts: map[string]map[string]mesh.Verdict{}, covered: map[string]string{},
	}
}

// cover puts a host under maintenance, or ends that.
func (w *needsWorld) cover(host, maintenance string) {
	w.covered[host] = maintenance
	w.snapshot = &mesh.Snapshot{}
	for _, h := range w.catalog.Hosts {
		state := mesh.HostState{Name: h.Name}
		for _, c := range h.Checks {
			state.Checks = append(state.Checks, mesh.CheckState{Name: c.Name, Maintenance: w.covered[h.Name]})
		}
		w.snapshot.Hosts = append(w.snapshot.Hosts, state)
	}
}

// publish publishes a verdict of a check, as the view folds it: "36 Mail down".
func (w *needsWorld) publish(at time.Duration, what string) {
	fields := strings.Fields(what)
	host, check, verdict := w.catalog.Host("nc0"+fields[0]), fields[1], mesh.Verdict(fields[2])
	if w.hosts[host.Name] == nil {
		w.hosts[host.Name] = map[string]mesh.Verdict{}
	}
	is := w.hosts[host.Name]
	status := func() mesh.Status {
		switch {
		case len(is) == 0:
			return mesh.Operational
		case len(is) < len(host.Checks):
			return mesh.PartialOutage
		}
		return mesh.MajorOutage
	}
	from, was := status(), mesh.Up
	if before, failed := is[check]; failed {
		was = before
	}
	if is[check] = verdict; verdict == mesh.Up {
		delete(is, check)
	}
	w.count++
	t := mesh.Transition{
		ID: fmt.Sprintf("%d-1", w.count), Host: host.Name, HostID: host.Identity(), Public: host.Public, Check: check,
		CheckID: host.IdentityOf(host.Check(check)), Was: was, Verdict: verdict, From: from, To: status(),
		Began: noon.Add(at - 2*time.Second), Published: noon.Add(at), Maintenance: w.covered[host.Name],
	}
	book := incident.NewBook(w.incidents, 0).WithNeeds(func(id, check string) (ids []string) {
		h := w.catalog.HostByID(id)
		for _, key := range h.NeedsOf(h.CheckByID(check)) {
			ids = append(ids, w.catalog.Host(key).Identity())
		}
		return ids
	})
	changed := book.Apply(t)
	for _, dependent := range book.Dependents(changed, t) {
		changed.Absorb(dependent, incident.Change{Mesh: t.Published})
		w.incidents = slices.DeleteFunc(w.incidents, func(i *incident.Incident) bool { return i == dependent })
	}
	if changed != nil && !slices.Contains(w.incidents, changed) {
		w.incidents = append(w.incidents, changed)
	}
}

// play publishes verdicts at seconds, and records what is sent: "10s opened NC033: DNS down".
func (w *needsWorld) play(steps map[int]string, until int) {
	for second := range until + 1 {
		w.playAt(time.Duration(second)*time.Second, steps[second])
	}
}

// playAt publishes verdicts, and sends what is due then.
func (w *needsWorld) playAt(at time.Duration, verdicts string) {
	for what := range strings.SplitSeq(verdicts, "; ") {
		if what != "" {
			w.publish(at, what)
		}
	}
	now := noon.Add(at)
	w.alerts = notify.Alerts(w.catalog, w.snapshot, &w.state, w.incidents, now)
	due, _ := notify.Plan(w.notify, w.state, w.alerts, now)
	for _, m := range due {
		var hosts []string
		for _, h := range m.Alert.Hosts {
			hosts = append(hosts, h.Name)
		}
		w.story = append(w.story, fmt.Sprintf("%v %s %s", at, m.Step, strings.Join(hosts, " ")))
		w.add(ledger.NotifyEvent{
			ID: m.ID, Action: ledger.NotifySent, Alert: m.Alert.ID, Round: m.Alert.Round, Step: m.Step,
			Channel: m.Channel, At: now, Hosts: m.Hosts, Severity: string(m.Severity),
		})
	}
}

// What fails with a host that it needs sends no message. What still fails a minute after that host works again does.
func TestWhatNeedsAHost(t *testing.T) {
	for name, test := range map[string]struct {
		public    []string // nil: all
		steps     map[int]string
		want      []string
		incidents int
	}{
		"fails and recovers with it": {nil, map[int]string{
			5: "33 DNS down", 8: "36 Mail down", 9: "36 Webmail down",
			300: "33 DNS up", 330: "36 Mail up; 36 Webmail up",
		}, []string{"5s opened NC033", "5m0s over NC033"}, 1},
		"is confirmed first": {nil, map[int]string{
			5: "36 Mail down", 12: "33 DNS down", 300: "33 DNS up", 310: "36 Mail up",
		}, []string{"12s opened NC033", "5m0s over NC033"}, 1},
		"fails alone": {nil, map[int]string{
			5: "36 Mail down", 100: "36 Mail up",
		}, []string{"15s opened NC036", "1m40s over NC036"}, 1},
		"fails alone, for some seconds": {nil, map[int]string{
			5: "36 Mail down", 9: "36 Mail up",
		}, []string{"15s over NC036"}, 1},
		"was reported before it": {nil, map[int]string{
			5: "36 Mail down", 30: "33 DNS down", 300: "33 DNS up", 310: "36 Mail up",
		}, []string{"15s opened NC036", "30s opened NC033", "5m0s over NC033", "5m10s over NC036"}, 2},
		"stays down": {nil, map[int]string{
			5: "33 DNS down", 8: "36 Mail down", 300: "33 DNS up", 900: "36 Mail up",
		}, []string{"5s opened NC033", "5m0s over NC033", "6m0s opened NC036", "15m0s over NC036"}, 1},
		"stays down while it fails again": {nil, map[int]string{
			5: "33 DNS down", 8: "36 Mail down", 300: "33 DNS up", 500: "33 DNS down", 600: "33 DNS up", 900: "36 Mail up",
		}, []string{
			"5s opened NC033", "5m0s over NC033", "6m0s opened NC036", "8m20s opened NC033", "10m0s over NC033",
			"15m0s over NC036",
		}, 1},
		"waits while it comes and goes": {nil, map[int]string{
			5: "33 DNS down", 8: "36 Mail down", 300: "33 DNS up", 340: "33 DNS down", 600: "33 DNS up", 630: "36 Mail up",
		}, []string{"5s opened NC033", "5m0s over NC033", "5m40s opened NC033", "10m0s over NC033"}, 1},
		"nobody could look at meanwhile": {nil, map[int]string{
			5: "33 DNS down", 8: "36 Mail down", 200: "33 DNS unknown", 300: "33 DNS up", 310: "36 Mail up",
		}, []string{"5s opened NC033", "5m0s over NC033"}, 1},
		"is degraded while it is degraded": {nil, map[int]string{
			5: "33 DNS degraded", 8: "36 Mail down", 100: "33 DNS up; 36 Mail up",
		}, []string{"5s opened NC033", "18s opened NC036", "1m40s over NC033", "1m40s over NC036"}, 2},
		"is public, and it is internal": {[]string{"NC036"}, map[int]string{
			5: "33 DNS down", 8: "36 Mail down", 300: "33 DNS up", 330: "36 Mail up",
		}, []string{"5s opened NC033", "5m0s over NC033"}, 2},
		"needs another host for one check": {nil, map[int]string{
			5: "41 Web down", 8: "36 Webmail down", 9: "36 Mail down", 300: "41 Web up", 310: "36 Webmail up; 36 Mail up",
		}, []string{"5s opened NC041", "12s grown-2-critical NC041 NC036", "5m10s over NC041 NC036"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNeedsWorld(test.public...)
			w.play(test.steps, 1200)
			w.wantSent(t, test.want...)
			if len(w.incidents) != test.incidents {
				t.Errorf("%d incidents, want %d", len(w.incidents), test.incidents)
			}
		})
	}
}
