package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// storyPage is what clients read of the story's mail server.
type storyPage struct {
	Components []struct{ Name, Status string }
	Incidents  []struct {
		Name, Status string
		Updates      []struct{ Body string } `json:"incident_updates"`
	}
	Maintenances []storyMaintenance `json:"scheduled_maintenances"`
	Maintenance  storyMaintenance   `json:"scheduled_maintenance"`
}

type storyMaintenance struct {
	ID, Name, Status string
	Updates          []struct{ Status, Body string } `json:"incident_updates"`
}

// The outage of 2021-09-02, by commands alone: the mail server is shut down to add a disk, which is announced while it
// is down already. The mesh has opened an incident by then; the rest of the downtime counts as maintenance. It takes
// longer than announced, the coordinator is restarted meanwhile, and the server is back before the end.
func TestAnEmergencyThatIsAnnouncedLate(t *testing.T) {
	m := newTestbed(t)
	text, err := os.ReadFile(m.path("catalog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "{name: NC1,", "{name: NC1, public: true,", 1))
	if err := os.WriteFile(m.path("catalog.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	data := m.path("data")
	m.startMesh(data)
	command := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(m.coordinator, append(args, "--data", data)...).Output()
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}

	m.services["NC1"].Close() // the server is shut down
	m.awaitStatus(data, "NC1", mesh.MajorOutage)
	m.eventually("there is an incident before anybody wrote", func() bool {
		page := m.page(t, "incidents")
		return len(page.Incidents) == 1 && page.Incidents[0].Status == "investigating"
	})
	id := command("maintenance", "plan", "--host", "NC1", "--title", "NC1: emergency maintenance", "--end", "2m",
		"--text", "We add a disk, since the **old one is full**.", "--tag", "disk", "--category", "mail")
	// The command waits for a second only for what readers see to change.
	m.within(20*time.Second, "NC1 is under maintenance as soon as that is announced", func() bool {
		page := m.page(t, "summary")
		return m.statuses(data)["NC1"] == mesh.UnderMaintenance && page.Components[0].Status == "under_maintenance" &&
			len(page.Maintenances) > 0 && page.Maintenances[0].Status == "in_progress"
	})
	command("maintenance", "extend", id, "--end", "30m", "--text", "It takes longer.")
	m.stop(m.serve)
	m.startCoordinator(data)
	m.awaitStatus(data, "NC1", mesh.UnderMaintenance)

	m.openService("NC1") // the server is back online
	m.eventually("the incident is resolved while the maintenance goes on", func() bool {
		all := m.page(t, "incidents").Incidents
		return len(all) == 1 && all[0].Status == "resolved" && strings.Contains(all[0].Updates[0].Body, "again after")
	})
	command("maintenance", "end", id, "--text", "Server back online.")
	m.within(20*time.Second, "NC1 is operational as soon as it is ended", func() bool {
		return m.statuses(data)["NC1"] == mesh.Operational
	})
	command("post", "publish", "--title", "Why the disk was full", "--host", "NC1", "--text", "Nobody had planned for it.")
	var states []string
	for _, u := range m.page(t, "scheduled-maintenances/"+id).Maintenance.Updates {
		states = append(states, u.Status+": "+u.Body)
	}
	if got := strings.Join(states, "\n"); !strings.HasPrefix(got, "completed: Server back online.\nin_progress: ") ||
		!strings.HasSuffix(got, "It takes longer.\nin_progress: We add a disk, since the old one is full.") {
		t.Errorf("the page of the maintenance shows\n%s", got)
	}

	// A second one ends while the server is down: that is an outage from then on.
	second := command("maintenance", "plan", "--host", "NC1", "--title", "NC1: a second disk", "--end", "10m")
	m.services["NC1"].Close()
	m.eventually("the check is down", func() bool {
		s, err := m.state(data)
		return err == nil && s.Snapshot.Hosts[0].Checks[0].Verdict == mesh.Down
	})
	if page := m.page(t, "incidents/unresolved"); len(page.Incidents) != 0 {
		t.Errorf("what was announced is an incident: %+v", page.Incidents)
	}
	command("maintenance", "end", second)
	m.eventually("what is down after a maintenance is an incident", func() bool {
		return len(m.page(t, "incidents/unresolved").Incidents) == 1
	})
	m.openService("NC1")
	m.awaitStatus(data, "NC1", mesh.Operational)

	// An uptime ends with the last whole second, so each state counts as soon as a second of it is over: of the two
	// outages without an announcement, the second is over only now.
	m.eventually("seconds up, down and under maintenance are counted", func() bool {
		var report sla.Report
		if err := json.Unmarshal([]byte(command("uptime", "NC1", "--json")), &report); err != nil {
			t.Fatal(err)
		}
		return len(report.Rows) > 0 && !slices.ContainsFunc(report.Rows, func(r sla.Row) bool {
			return r.Seconds.Up < 1 || r.Seconds.Down < 1 || r.Seconds.Maintenance < 1
		})
	})
	if list := command("maintenance", "list"); strings.Count(list, "completed") != 2 {
		t.Error(list)
	}
}

// page returns an answer of the API that clients read.
func (m *testbed) page(t *testing.T, name string) (out storyPage) {
	t.Helper()
	res, err := http.Get("http://" + m.ops + "/api/v2/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}
