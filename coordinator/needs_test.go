package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A check that fails while the host fails which it needs joins the incident of that host, and nobody is notified of it
// by itself.
func TestACheckThatNeedsAHostSendsNoMessage(t *testing.T) {
	m, h, b := notifyTestbed(t)
	text, err := os.ReadFile(m.path("catalog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m.openService("other")
	port := func(service string) string { _, p, _ := net.SplitHostPort(m.addresses[service]); return p }
	needy := fmt.Sprintf("checks: [{kind: tcp, name: Child, port: %s, needs: NC1}, {kind: tcp, name: Own, port: %s}]",
		port("NC2"), port("other"))
	changed := strings.Replace(string(text), "checks: [{kind: tcp, port: "+port("NC2")+"}]", needy, 1)
	if changed == string(text) {
		t.Fatal("the catalog has no such check")
	}
	if err := os.WriteFile(m.path("catalog.yaml"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	data := m.path("d")
	m.startCoordinator(data)
	m.startAgents(data)
	for _, host := range []string{"NC1", "NC2", "NC3", "NC4"} {
		m.awaitStatus(data, host, mesh.Operational)
	}
	m.services["NC1"].Close()
	m.awaitStatus(data, "NC1", mesh.MajorOutage)
	m.services["NC2"].Close()
	m.awaitStatus(data, "NC2", mesh.PartialOutage)
	list := m.must(m.coordinator, "incident", "list", "--data", data)
	if strings.Count(list, "\n") != 2 || !strings.Contains(list, "NC1,NC2") {
		t.Errorf("the check did not join the incident of the host that it needs:\n%s", list)
	}
	m.openService("NC2")
	m.awaitStatus(data, "NC2", mesh.Operational)
	m.openService("NC1")
	m.awaitStatus(data, "NC1", mesh.Operational)
	m.eventually("the messages arrive", func() bool { return len(h.received()) >= 2 && len(b.read()) >= 2 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if want := []string{"incident.opened", "incident.over"}; !slices.Equal(h.types, want) {
		t.Fatalf("received %v, want %v", h.types, want)
	}
	for n, message := range h.data {
		if hosts, _ := message["hosts"].([]any); len(hosts) != 1 || hosts[0] != "NC1" {
			t.Errorf("message %d is about %v", n, hosts)
		}
	}
	if text, _ := h.data[1]["text"].(string); !strings.Contains(text, "Failing with it: NC2.") {
		t.Errorf("the last message does not name what failed with it: %q", text)
	}
}
