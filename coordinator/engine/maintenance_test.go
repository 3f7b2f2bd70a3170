package engine_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
	"github.com/probemesh/probemesh/pkg/wire"
)

// mailHost is fourHosts where NC1 is public and has the checks ping and mail.
func mailHost(t *testing.T) *catalog.Catalog {
	t.Helper()
	var b strings.Builder
	b.WriteString("regions: [{name: amsterdam}, {name: london}, {name: toronto}, {name: sydney}]\nhosts:\n")
	for i, city := range cities {
		checks := ""
		if i == 0 {
			checks = ", public: true, checks: [{kind: ping}, {kind: tcp, name: mail, port: 25}]"
		}
		fmt.Fprintf(&b, "  - {name: NC%d, region: %s, address: 192.0.2.%d%s}\n", i+1, city, i+1, checks)
	}
	c, err := catalogfile.Parse("test.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// maintained is a world whose NC1 is probed every two seconds, and the coordinator on it.
type maintained struct {
	*world
	t       *testing.T
	catalog *catalog.Catalog
	core    *node.Core
	stop    func() error
	began   time.Time
	ping    mesh.Outcome // of what the agents publish
	mail    mesh.Outcome
	events  int
	overrun time.Duration
	host    string // the key by which the agents know NC1
	check   string // the name by which they know its check mail
}

func newMaintained(t *testing.T) *maintained {
	m := &maintained{
		world: newWorld(t), t: t, catalog: mailHost(t), began: time.Now(), ping: mesh.Reachable, mail: mesh.Reachable,
		host: "nc1", check: "mail",
	}
	m.start()
	enrollAll(t, m.core)
	return m
}

func (m *maintained) start() { m.core, m.stop = m.run(m.t, node.CoreConfig{Catalog: m.catalog}) }

// at is a time of the story, in seconds.
func (m *maintained) at(seconds int) time.Time {
	return m.began.Add(time.Duration(seconds) * time.Second).UTC()
}

// until has the agents publish what they observe up to a time of the story.
func (m *maintained) until(seconds int) {
	m.t.Helper()
	for ; time.Now().Before(m.at(seconds)); time.Sleep(2 * time.Second) {
		m.publish()
		synctest.Wait()
	}
}

func (m *maintained) publish() {
	m.epoch++
	for i := 2; i <= len(cities); i++ {
		began := time.Now().Add(-10 * time.Millisecond)
		b := &mesh.Batch{
			Agent: fmt.Sprintf("nc%d", i), Epoch: m.epoch, Sequence: 1, Began: began, Revision: m.catalog.Revision,
		}
		for _, check := range []string{"ping", m.check} {
			outcome := m.ping
			if check == m.check {
				outcome = m.mail
			}
			b.Observations = append(b.Observations, mesh.Observation{
				Host: m.host, Check: check, Family: mesh.IPv4, Began: began, Outcome: outcome, Reason: "timeout", Sent: 1,
				Round: m.round(m.host),
			})
		}
		h := wire.EncodeHeaders(10*time.Millisecond, time.Hour)
		m.store(bus.Message{
			Kind: bus.Batch, Agent: b.Agent, Header: func(k string) string { return h[k] }, Data: encodeOfAnySize(m.t, b),
		})
	}
}

// do appends what a person does to the maintenance "m".
func (m *maintained) do(e ledger.MaintenanceEvent) {
	m.t.Helper()
	m.events++
	e.Event, e.ID = fmt.Sprint(m.events), "m"
	e.Mesh, e.Offset = m.core.Clock.Now()
	if err := m.led.Append(m.t.Context(), e); err != nil {
		m.t.Fatal(err)
	}
	engine.CatchUp(m.t.Context(), m.core.Engine)
}

// plan plans the maintenance of NC1, or of one of its checks.
func (m *maintained) plan(from, to int, check string) {
	m.t.Helper()
	h := &m.catalog.Hosts[0]
	target := maintenance.Target{Host: h.Identity()}
	if check != "" {
		target.Check = h.IdentityOf(h.Check(check))
	}
	m.do(ledger.MaintenanceEvent{
		Action: maintenance.Plan, Schedule: &maintenance.Schedule{Start: m.at(from), End: m.at(to), Overrun: m.overrun},
		Targets: []maintenance.Target{target},
	})
}

// seen describes what readers saw of NC1: each change of its status, and each incident with its windows, in seconds
// of the story.
func (m *maintained) seen() (out []string) {
	m.t.Helper()
	seconds := func(at time.Time) string {
		if at.IsZero() {
			return "..."
		}
		return fmt.Sprint(at.Sub(m.began).Round(time.Second).Seconds())
	}
	ts, err := m.core.History.Transitions(m.t.Context(), m.host, time.Time{}, 1000)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, tr := range ts {
		if tr.From != tr.To && tr.From != mesh.StatusUnknown {
			out = append(out, fmt.Sprintf("%s: %s", seconds(tr.Began), tr.To))
		}
	}
	incidents, err := m.core.History.Incidents(m.t.Context(), incident.Query{Limit: 100})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, i := range incidents {
		line := "incident " + string(i.State)
		for _, w := range i.Hosts[0].Windows {
			line += fmt.Sprintf(", %s %s from %s to %s", w.Check, w.Verdict, seconds(w.From), seconds(w.To))
		}
		if i.State == incident.Resolved {
			line += ", resolved"
		}
		out = append(out, line)
	}
	return out
}

// seconds returns how the host and its checks are counted from the 60th second of the story on.
func (m *maintained) seconds(to int) string {
	m.t.Helper()
	time.Sleep(time.Until(m.at(to)))
	report, err := m.core.History.Uptime(m.t.Context(), m.catalog, sla.Query{
		Include: func(host string) bool { return host == m.host }, From: m.at(60), To: m.at(to),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	var out []string
	for _, r := range report.Rows {
		s := r.Seconds
		out = append(out, fmt.Sprintf("%s: up %d, down %d, partial %d, maintenance %d, no data %d", r.Check, s.Up, s.Down,
			s.Partial, s.Maintenance, s.NoData))
	}
	return strings.Join(out, "\n")
}

// stories are scenarios of NC1 and its maintenance, with what readers should see. Each runs with and without
// restarts in between, with the same result.
var stories = map[string]struct {
	steps   func(m *maintained, pause func(seconds int))
	seen    []string
	seconds string // of the 540 s from the 60th on
}{
	"planned, and down inside it": {
		func(m *maintained, until func(int)) {
			m.plan(120, 300, "")
			until(160)
			m.ping, m.mail = mesh.Unreachable, mesh.Unreachable
			until(240)
			m.ping, m.mail = mesh.Reachable, mesh.Reachable
			until(600)
		},
		[]string{"120: under_maintenance", "300: operational"},
		": up 360, down 0, partial 0, maintenance 180, no data 0\n" +
			"ping: up 360, down 0, partial 0, maintenance 180, no data 0\n" +
			"mail: up 360, down 0, partial 0, maintenance 180, no data 0",
	},
	"another check is down meanwhile": {
		func(m *maintained, until func(int)) {
			m.plan(120, 300, "mail")
			until(160)
			m.mail = mesh.Unreachable
			until(200)
			m.ping = mesh.Unreachable
			until(240)
			m.ping = mesh.Reachable
			until(270)
			m.mail = mesh.Reachable
			until(600)
		},
		[]string{
			"120: under_maintenance", "200: partial_outage", "240: under_maintenance", "300: operational",
			"incident resolved, ping down from 200 to 240, resolved",
		},
		": up 360, down 0, partial 40, maintenance 140, no data 0\n" +
			"ping: up 500, down 40, partial 0, maintenance 0, no data 0\n" +
			"mail: up 360, down 0, partial 0, maintenance 180, no data 0",
	},
	"still down when it ends": {
		func(m *maintained, until func(int)) {
			m.plan(120, 300, "mail")
			until(160)
			m.mail = mesh.Unreachable
			until(400)
			m.mail = mesh.Reachable
			until(600)
		},
		[]string{
			"120: under_maintenance", "300: partial_outage", "400: operational",
			"incident resolved, mail down from 300 to 400, resolved",
		},
		": up 260, down 0, partial 100, maintenance 180, no data 0\n" +
			"ping: up 540, down 0, partial 0, maintenance 0, no data 0\n" +
			"mail: up 260, down 100, partial 0, maintenance 180, no data 0",
	},
	"announced when it was down already, and ended by hand": {
		func(m *maintained, until func(int)) {
			until(100)
			m.ping, m.mail = mesh.Unreachable, mesh.Unreachable
			until(200)
			m.plan(200, 500, "")
			until(260)
			m.ping, m.mail = mesh.Reachable, mesh.Reachable
			until(400)
			m.do(ledger.MaintenanceEvent{Action: maintenance.End, Occurrence: m.at(200)})
			until(600)
		},
		[]string{
			"100: partial_outage", "100: major_outage", "200: under_maintenance", "400: operational",
			"incident resolved, ping down from 100 to 260, mail down from 100 to 260, resolved",
		},
		": up 240, down 100, partial 0, maintenance 200, no data 0\n" +
			"ping: up 240, down 100, partial 0, maintenance 200, no data 0\n" +
			"mail: up 240, down 100, partial 0, maintenance 200, no data 0",
	},
	"extended, and down until later": {
		func(m *maintained, until func(int)) {
			m.plan(120, 200, "")
			until(140)
			m.ping, m.mail = mesh.Unreachable, mesh.Unreachable
			until(180)
			m.do(ledger.MaintenanceEvent{Action: maintenance.Extend, Occurrence: m.at(120), Until: m.at(320)})
			until(300)
			m.ping, m.mail = mesh.Reachable, mesh.Reachable
			until(600)
		},
		[]string{"120: under_maintenance", "320: operational"},
		": up 340, down 0, partial 0, maintenance 200, no data 0\n" +
			"ping: up 340, down 0, partial 0, maintenance 200, no data 0\n" +
			"mail: up 340, down 0, partial 0, maintenance 200, no data 0",
	},
	"extended by itself, up to the time when it works": {
		func(m *maintained, until func(int)) {
			m.overrun = 20 * time.Minute
			m.plan(120, 200, "")
			until(140)
			m.ping, m.mail = mesh.Unreachable, mesh.Unreachable
			until(300)
			m.ping, m.mail = mesh.Reachable, mesh.Reachable
			until(600)
		},
		[]string{"120: under_maintenance", "500: operational"},
		": up 160, down 0, partial 0, maintenance 380, no data 0\n" +
			"ping: up 160, down 0, partial 0, maintenance 380, no data 0\n" +
			"mail: up 160, down 0, partial 0, maintenance 380, no data 0",
	},
	"extended by itself, and down for longer than that": {
		func(m *maintained, until func(int)) {
			m.overrun = time.Minute
			m.plan(120, 200, "")
			until(140)
			m.ping, m.mail = mesh.Unreachable, mesh.Unreachable
			until(400)
			m.ping, m.mail = mesh.Reachable, mesh.Reachable
			until(600)
		},
		[]string{
			"120: under_maintenance", "260: major_outage", "400: partial_outage", "400: operational",
			"incident resolved, ping down from 260 to 400, mail down from 260 to 400, resolved",
		},
		": up 259, down 140, partial 1, maintenance 140, no data 0\n" +
			"ping: up 260, down 140, partial 0, maintenance 140, no data 0\n" +
			"mail: up 260, down 140, partial 0, maintenance 140, no data 0",
	},
	"cancelled, and down all the same": {
		func(m *maintained, until func(int)) {
			m.plan(120, 300, "")
			until(100)
			m.do(ledger.MaintenanceEvent{Action: maintenance.Cancel, Occurrence: m.at(120)})
			until(160)
			m.ping, m.mail = mesh.Unreachable, mesh.Unreachable
			until(240)
			m.ping, m.mail = mesh.Reachable, mesh.Reachable
			until(600)
		},
		[]string{
			"160: partial_outage", "160: major_outage", "240: partial_outage", "240: operational",
			"incident resolved, ping down from 160 to 240, mail down from 160 to 240, resolved",
		},
		": up 459, down 80, partial 1, maintenance 0, no data 0\n" +
			"ping: up 460, down 80, partial 0, maintenance 0, no data 0\n" +
			"mail: up 460, down 80, partial 0, maintenance 0, no data 0",
	},
}

// roundedMax is how many seconds a count may differ: what is worse begins with a second, and what is better after one.
const roundedMax = 3

// sameSeconds reports whether two texts are the same, but for numbers that differ by rounding.
func sameSeconds(got, want string) bool {
	a, b := strings.Fields(got), strings.Fields(want)
	return slices.EqualFunc(a, b, func(x, y string) bool {
		n, errN := strconv.Atoi(strings.Trim(x, ","))
		k, errK := strconv.Atoi(strings.Trim(y, ","))
		return x == y || errN == nil && errK == nil && n != 0 && k != 0 && max(n-k, k-n) <= roundedMax
	})
}

func TestMaintenanceStories(t *testing.T) {
	for name, story := range stories {
		// Restarts at every place of the story, also where the maintenance begins or ends while nobody judges.
		for _, restart := range []int{0, 114, 176, 190, 244, 296, 318} {
			t.Run(fmt.Sprintf("%s, restarted at %d", name, restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newMaintained(t)
					m.until(60)
					story.steps(m, func(seconds int) {
						if restart > 0 && m.at(restart).After(time.Now()) && restart < seconds {
							m.until(restart)
							mustStop(t, m.stop)
							for range 5 { // the agents go on
								m.publish()
								time.Sleep(2 * time.Second)
							}
							m.start()
						}
						m.until(seconds)
					})
					if diff := cmp.Diff(story.seen, m.seen()); diff != "" {
						t.Errorf("readers learn something else:\n%s", diff)
					}
					if got := m.seconds(600); !sameSeconds(got, story.seconds) {
						t.Errorf("it is counted otherwise:\n%s\nwant\n%s", got, story.seconds)
					}
					mustStop(t, m.stop)
				})
			})
		}
	}
}

// A look at the past shows what was under maintenance then, and the present one marks what is covered.
func TestThePastShowsItsMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaintained(t)
		m.until(60)
		m.plan(120, 300, "mail")
		m.until(160)
		m.mail = mesh.Unreachable
		m.until(200)
		check := func(when string, s *mesh.Snapshot) {
			t.Helper()
			h := s.Hosts[0]
			if h.Status != mesh.UnderMaintenance || h.Checks[0].Maintenance != "" || h.Checks[1].Maintenance != "m" ||
				h.Checks[1].Verdict != mesh.Down || !h.Since.Equal(m.at(120)) || !strings.Contains(h.Sentence, "until") {
				t.Errorf("%s: %s since %s, %q, %+v", when, h.Status, h.Since, h.Sentence, h.Checks)
			}
		}
		_, s := m.core.Engine.Current()
		check("now", s)
		m.until(400)
		_, s, err := m.core.Replayer.At(t.Context(), m.at(190))
		if err != nil {
			t.Fatal(err)
		}
		check("later", s)
		if _, s, err = m.core.Replayer.At(t.Context(), m.at(310)); err != nil || s.Hosts[0].Status != mesh.PartialOutage {
			t.Errorf("after it: %v", err)
		}
		mustStop(t, m.stop)
	})
}

// A maintenance follows its host and its check through renames, while it is in progress and in what is counted of the
// past; a new check of the name before is not covered.
func TestMaintenanceFollowsRenames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaintained(t)
		m.until(60)
		m.plan(120, 400, "mail")
		m.until(160)
		m.mail = mesh.Unreachable
		m.until(200)
		next := mailHost(t)
		next.Hosts[0].Name, next.Hosts[0].Was = "Mail", "NC1"
		next.Hosts[0].Checks[1].Name, next.Hosts[0].Checks[1].Was = "SMTP", "mail"
		catalog.Seal(next)
		if _, err := m.core.Catalogs.Apply(t.Context(), next, "test", false); err != nil {
			t.Fatal(err)
		}
		m.catalog, m.host, m.check = m.core.Catalogs.Current(), "mail", "SMTP"
		m.until(300)
		_, s := m.core.Engine.Current()
		if h := s.Hosts[0]; h.Name != "Mail" || h.Status != mesh.UnderMaintenance || h.Checks[1].Maintenance != "m" {
			t.Errorf("%s is %s: %+v", h.Name, h.Status, h.Checks[1])
		}
		m.until(600)
		want := []string{
			"120: under_maintenance", "400: partial_outage", "incident investigating, SMTP down from 400 to ...",
		}
		if diff := cmp.Diff(want, m.seen()); diff != "" {
			t.Error(diff)
		}
		const counted = ": up 60, down 0, partial 200, maintenance 280, no data 0\n" +
			"ping: up 540, down 0, partial 0, maintenance 0, no data 0\n" +
			"SMTP: up 60, down 200, partial 0, maintenance 280, no data 0"
		if got := m.seconds(600); !sameSeconds(got, counted) {
			t.Errorf("counted as\n%s\nwant\n%s", got, counted)
		}
		mustStop(t, m.stop)
	})
}
