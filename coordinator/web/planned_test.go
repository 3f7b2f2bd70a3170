package web_test

import (
	"strings"
	"testing"
)

// What is internal is no maintenance for the public: neither by its address nor in a list, a calendar or a count.
func TestMaintenanceOfInternalHostsIsHidden(t *testing.T) {
	m := newMarkedMesh(t)
	h := public(m)
	for _, address := range []string{"/maintenance/" + mark, "/api/v2/scheduled-maintenances/" + mark + ".json"} {
		if answer := visit(t, h, address); !strings.HasPrefix(answer, "404") {
			t.Errorf("%s: %.200s", address, answer)
		}
	}
	for _, address := range []string{
		"/", "/hosts/nc1", "/maintenance", "/maintenance/" + plannedID, "/maintenance.ics",
		"/api/v2/scheduled-maintenances.json", "/api/v2/scheduled-maintenances/" + plannedID + ".json",
		"/api/v2/summary.json",
	} {
		answer := visit(t, h, address)
		if marked(answer) || !strings.Contains(answer, "NC1") || !strings.Contains(answer, plannedID) {
			t.Errorf("%s shows another host, or not the maintenance of NC1: %s", address, answer)
		}
	}
	for _, address := range []string{"/", "/maintenance"} {
		if !marked(visit(t, operatorsSite(m), address)) {
			t.Errorf("%s hides the maintenance from operators", address)
		}
	}
	if strings.Contains(visit(t, h, "/hosts/nc2"), plannedID) {
		t.Error("a host shows the maintenance of another")
	}
}
