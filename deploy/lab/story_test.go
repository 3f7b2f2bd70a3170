package lab

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	nouns "github.com/probemesh/probemesh/pkg/mesh"
)

// soon bounds the time from a hard failure to its verdict. The mesh needs at most 4 s; a machine that runs twenty
// processes beside it gets one more. The latencies themselves are what BenchmarkLatency measures.
const soon = 5 * time.Second

// TestOutages breaks hosts, services and the network, one story after the other on one mesh.
func TestOutages(t *testing.T) {
	t.Parallel()
	startMesh(t, 10*time.Second, "").playAll(t, []story{
		{"a service is killed", []line{
			At(0, KillService("NC036", "smtp")),
			Want(soon, "down", "NC036 Sending mail"), Want(soon, "partial_outage", "NC036"),
			Never(bad, "NC036 ping", "NC036 Reading mail"), Never(bad, othersThan("NC036")...),
			At(15*time.Second, StartService("NC036", "smtp")),
			Want(20*time.Second, "operational", "NC036"),
		}},
		{"a service hangs: it accepts connections and sends nothing", []line{
			At(0, Hang("NC036", "smtp")),
			Want(20*time.Second, "down", "NC036 Sending mail"),
			Never(bad, "NC036 ping", "NC036 Reading mail"), Never(bad, othersThan("NC036")...),
		}},
		{"a host is killed", []line{
			At(0, KillHost("NC041")),
			Want(soon, "major_outage", "NC041"),
			Never(bad, othersThan("NC041")...),
		}},
		{"one direction of one path is cut", []line{
			At(0, Cut("lusaka", "amsterdam")),
			At(0, OverviewSays(15*time.Second, "Path cut between Lusaka and Amsterdam, one way or both")),
			Until(30 * time.Second),
			Never(bad, othersThan()...),
		}},
		{"a firewall cuts one direction: operators read which, and find it again by its moment", []line{
			At(0, DropFrom("NC036", "lusaka")),
			At(0, OverviewSays(15*time.Second, "One-way cut: Amsterdam sees Lusaka, Lusaka does not see Amsterdam")),
			At(20*time.Second, Do("mend the firewall", func(m *mesh) { m.repair() })),
			At(35*time.Second, OverviewSaidThen("One-way cut: Amsterdam sees Lusaka")),
			Until(45 * time.Second),
			Never(bad, othersThan()...),
		}},
		{"a region is isolated", []line{
			At(0, Isolate("lusaka")),
			Want(soon, "major_outage", "NC034"),
			Never(bad, othersThan("NC034")...),
			At(20*time.Second, Mend()), Want(30*time.Second, "operational", "NC034"),
		}},
		{"a region of two hosts is isolated: one cause", []line{
			At(0, Isolate("new-york")),
			Want(2*soon, "major_outage", "NC031", "NC041"),
			At(12*time.Second, Do("check the causes", oneCause("NC031", "NC041"))),
			Never(bad, othersThan("NC031", "NC041")...),
		}},
		{"the coordinator's region is isolated: the coordinator is what is cut off", []line{
			At(0, Isolate("seattle")), Until(20 * time.Second),
			Want(60*time.Second, "unknown", othersThan("NC042")...),
			Never(bad, othersThan("NC042")...),
			At(65*time.Second, Mend()),
			Want(60*time.Second, "operational", othersThan()...),
		}},
		{"half is split from half", []line{
			At(0, Isolate("london", "lusaka", "sydney", "amsterdam")),
			Want(60*time.Second, "unknown", hostsOf("london", "lusaka", "sydney", "amsterdam")...),
			Never(bad, othersThan()...),
		}},
	})
}

// TestTroublesOfTheMeshItself breaks the mesh's own programs. Nothing false may be published about the hosts.
func TestTroublesOfTheMeshItself(t *testing.T) {
	t.Parallel()
	startMesh(t, 10*time.Second, "").playAll(t, []story{
		{"an agent is frozen and thawed", []line{
			At(0, Freeze("NC028")), At(20*time.Second, Thaw("NC028")), Until(35 * time.Second),
			Never(bad+" unknown", othersThan()...),
		}},
		{"a vantage is broken: all its probes are lost", []line{
			At(0, Blind("NC028")), Until(40 * time.Second),
			Never(bad+" unknown", othersThan("NC036")...), Never(bad, "NC036 ping", "NC036 Reading mail"),
			At(40*time.Second, KillService("NC036", "smtp")),
			Want(soon, "partial_outage", "NC036"),
		}},
		{"an agent's clock is 90 s wrong", []line{
			At(0, SetClock("NC023", "90s")),
			At(10*time.Second, KillService("NC036", "imap")),
			Want(soon, "down", "NC036 Reading mail"),
			At(16*time.Second, Do("check the advisories", hasAdvisory("NC023", "its clock is off by 1m30s"))),
			At(16*time.Second, Do("check the beginning", beganRecently)),
			Never(bad, othersThan("NC036")...),
		}},
		{"an agent is cut from NATS, and its gossip proves that it is alive", []line{
			At(0, CutFromNATS("NC034")), Until(50 * time.Second),
			At(50*time.Second, Do("check the advisories", hasAdvisory("NC034", "its agent is cut from NATS since"))),
			Never(bad+" unknown", othersThan()...),
		}},
		{"a firewall drops pings to a server without other checks: its gossip proves that it is alive", []line{
			At(0, DropPings("NC034")), Until(45 * time.Second),
			Never(bad+" unknown", othersThan()...),
		}},
		{"agents are restarted in any order", []line{
			At(0, Restart("NC034", true)),
			At(3*time.Second, Restart("NC023", false)),
			At(6*time.Second, Restart("NC042", true)),
			At(8*time.Second, Restart("NC041", true)),
			At(8500*time.Millisecond, Restart("NC031", false)), Until(30 * time.Second),
			Never(bad+" unknown", othersThan()...),
		}},
		{"an operator restarts the coordinator", []line{
			At(0, StopCoordinator()), At(5*time.Second, StartCoordinator()), Until(30 * time.Second),
			Never(bad+" unknown", othersThan()...),
		}},
		{"everything is restarted, in any order", []line{
			At(0, RestartEverything(1)), At(25*time.Second, RestartEverything(2)), Until(55 * time.Second),
			Never(bad, othersThan()...),
		}},
	})
}

// story is an outage as a timeline.
type story struct {
	name  string
	lines []line
}

// playAll plays stories one after the other. It stops at the first that fails, since the next would begin on a broken
// mesh.
func (m *mesh) playAll(t *testing.T, stories []story) {
	for _, s := range stories {
		if !t.Run(s.name, func(t *testing.T) { m.play(t, s.lines...) }) {
			break
		}
	}
	m.t = t
}

// oneCause checks that the hosts' outages share one cause.
func oneCause(a, b string) func(*mesh) {
	return func(m *mesh) {
		state, err := m.control.State(context.Background(), time.Time{})
		if err != nil {
			m.t.Fatal(err)
		}
		causes := map[string]bool{}
		for _, h := range state.Snapshot.Hosts {
			if h.Name == a || h.Name == b {
				causes[h.Checks[0].Cause] = true
			}
		}
		if len(causes) != 1 || causes[""] {
			m.t.Errorf("the causes of %s and %s are %v, want one", a, b, causes)
		}
	}
}

// hasAdvisory checks that operators see an advisory of a vantage that contains a text.
func hasAdvisory(name, text string) func(*mesh) {
	return func(m *mesh) {
		eventually(m.t, 30*time.Second, "an advisory of "+name, func() error {
			state, err := m.control.State(context.Background(), time.Time{})
			if err != nil {
				return err
			}
			for _, v := range state.Snapshot.Vantages {
				if v.Name == name && !strings.Contains(strings.Join(v.Advisories, " "), text) {
					return fmt.Errorf("the advisories of %s are %q, want %q", name, v.Advisories, text)
				}
			}
			return nil
		})
	}
}

// beganRecently checks that the outage's published beginning is its true one, although an agent's clock is wrong.
func beganRecently(m *mesh) {
	for _, tr := range m.transitions(time.Now().Add(-30 * time.Second)) {
		if ago := time.Since(tr.Began); tr.Verdict == nouns.Down && (ago < 0 || ago > 30*time.Second) {
			m.t.Errorf("the outage's published beginning is %v ago", ago)
		}
	}
}

// TestTheCoordinatorIsKilledAndAFailureBeginsWhileItIsAway checks that a kill -9 leaves the published history
// unchanged, and that a failure during the absence is published with its true beginning.
func TestTheCoordinatorIsKilledAndAFailureBeginsWhileItIsAway(t *testing.T) {
	t.Parallel()
	m := startMesh(t, 10*time.Second, "")
	var before []nouns.Transition
	var began time.Time
	m.play(t,
		At(0, KillService("NC036", "smtp")),
		Want(soon, "partial_outage", "NC036"),
		At(6*time.Second, Do("store the history", func(m *mesh) { before = m.transitions(time.Time{}) })),
		At(6*time.Second, KillCoordinator()),
		At(7*time.Second, Isolate("lusaka")), // the other agents see it, and spool what they see
		At(7*time.Second, Do("record the time", func(*mesh) { began = time.Now() })),
		At(22*time.Second, StartCoordinator()),
		Want(soon, "partial_outage", "NC036"),
		Want(20*time.Second, "major_outage", "NC034"),
		At(45*time.Second, Do("compare the history", func(m *mesh) {
			after := m.transitions(time.Time{})
			if len(after) < len(before) || !reflect.DeepEqual(after[:len(before)], before) {
				m.t.Errorf("kill -9 changed the history")
			}
			for _, tr := range after[len(before):] {
				if tr.Host == "NC034" && tr.Verdict == nouns.Down && tr.Began.Sub(began).Abs() > 12*time.Second {
					m.t.Errorf("the failure began at %v, and its published beginning is %v", began, tr.Began)
				}
			}
		})),
		Never(bad, othersThan("NC034", "NC036")...),
	)
}

// TestAWrongCatalogChangesNothing checks that an invalid file leaves the catalog in force, and that a mistyped port
// makes a check pending and no outage.
func TestAWrongCatalogChangesNothing(t *testing.T) {
	t.Parallel()
	m := startMesh(t, 10*time.Second, "")
	m.play(t,
		At(0, Do("break the file", func(m *mesh) {
			write(m.t, m.catalogFile(), "hosts: [{name: NC1, region: atlantis, adress: 192.0.2.1}]\n")
		})),
		At(10*time.Second, Do("mistype a port", func(m *mesh) { m.writeCatalog(26) })),
		Want(20*time.Second, "pending", "NC036 Sending mail"),
		Until(30*time.Second),
		Never(bad, othersThan()...),
		At(30*time.Second, Do("mend the file", func(m *mesh) { m.writeCatalog(25) })),
	)
}

// TestLoss drops a fifth of all packets in each direction of every path, NATS's own included, so that more than a third
// of all probes are lost. Nothing may be published. PROBEMESH_LAB_LOSS sets the duration (default 3m).
func TestLoss(t *testing.T) {
	t.Parallel()
	m := startMesh(t, 10*time.Second, "")
	lasting := 3 * time.Minute
	if text := os.Getenv("PROBEMESH_LAB_LOSS"); text != "" {
		var err error
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	m.play(t,
		At(0, Impair(0.2, 0.02, 20*time.Millisecond)), Until(lasting),
		At(lasting, Do("check the history", func(m *mesh) {
			for _, tr := range m.transitions(began) {
				m.t.Errorf("published without a fault: %s %s: %s", tr.Host, tr.Check, tr.Sentence)
			}
		})),
	)
}
