package lab

import (
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soon bounds a hard failure's way to the public page: the mesh promises four seconds, a machine that also builds and tests
// gets one more.
const soon = 5 * time.Second

// within reports whether a measured moment is the true one, to the second and a scheduled look's distance.
func within(got, want time.Time, slack time.Duration) bool { return got.Sub(want).Abs() <= slack }

func TestAServiceStopsThenItsHostIsCutOff(t *testing.T) {
	m := startMesh(t)
	m.want(30*time.Second, "operational", m.everything()...)

	stopped := time.Now()
	m.smtp.kill()
	took := m.want(soon, "partial_outage", mail)
	t.Logf("service stopped to published: %v", took)
	m.want(soon, "major_outage", mail+" Sending mail")
	if got := m.last(mail, "partial_outage"); !within(got.Began, stopped, 3*time.Second) {
		t.Errorf("the outage is said to have begun at %v, and began at %v", got.Began, stopped)
	}
	m.want(time.Second, "operational", mail+" ping")

	m.startMail()
	m.want(15*time.Second, "operational", m.everyHost()...)

	const lost = "NC4"
	m.hosts[lost].cut()
	took = m.want(soon, "major_outage", lost)
	t.Logf("link cut to published: %v", took)
	m.always(8*time.Second, "operational", "NC1", "NC2", "NC3", "NC5")
	m.hosts[lost].mend()
	m.want(20*time.Second, "operational", m.everyHost()...)
}

func TestTheCoordinatorIsKilledAndAFailureBeginsWhileItIsAway(t *testing.T) {
	m := startMesh(t)
	m.want(30*time.Second, "operational", m.everything()...)
	m.smtp.kill()
	m.want(soon, "partial_outage", mail)
	before := m.transitions("")

	m.process.kill()
	began := time.Now()
	const lost = "NC3"
	m.hosts[lost].cut()
	time.Sleep(15 * time.Second) // the agents see the failure, and have nobody to tell
	m.startCoordinator()

	m.want(time.Second, "partial_outage", mail)
	if after := m.transitions(""); len(after) < len(before) || !reflect.DeepEqual(after[:len(before)], before) {
		t.Errorf("the history changed over a kill -9:\nbefore %v\nafter  %v", before, after)
	}
	m.want(20*time.Second, "major_outage", lost)
	if got := m.last(lost, "major_outage"); !within(got.Began, began, 12*time.Second) || !got.Began.Before(began.Add(14*time.Second)) {
		t.Errorf("the failure began at %v and is said to have begun at %v", began, got.Began)
	}
	m.always(5*time.Second, "operational", "NC2", "NC4", "NC5")
}

func TestAWrongCatalogChangesNothing(t *testing.T) {
	m := startMesh(t)
	m.want(30*time.Second, "operational", m.everything()...)
	m.writeFile(m.catalogFile(), "hosts: [{name: NC1, region: atlantis, adress: 192.0.2.1}]\n")
	m.always(5*time.Second, "operational", m.everyHost()...)

	m.writeCatalog(26) // nobody listens there: a typing mistake, never an outage
	eventually(t, 15*time.Second, "the new check is unknown, not down", func() error {
		body, err := m.get("/api/v2/components.json")
		if err == nil && !strings.Contains(string(body), "Unknown") {
			return errNotYet
		}
		return err
	})
	m.always(5*time.Second, "operational", m.everyHost()...)
}

func TestAFrozenAgentTakesNothingWithIt(t *testing.T) {
	m := startMesh(t)
	m.want(30*time.Second, "operational", m.everything()...)
	m.agents["NC2"].signal(syscall.SIGSTOP)
	m.always(15*time.Second, "operational", m.everyHost()...)
	m.agents["NC2"].signal(syscall.SIGCONT)
	m.always(10*time.Second, "operational", m.everyHost()...)
}
