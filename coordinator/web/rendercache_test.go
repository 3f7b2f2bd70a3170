package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// After the wall clock was stepped back, a newer snapshot shows an earlier time. Pages must still be rendered from it.
func TestPagesAreRenderedAgainAfterTheClockWasSteppedBack(t *testing.T) {
	const step = 10 * time.Minute
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()[:1] // open since an hour
	h := public(s)
	front := func() string { return webtest.Get(t, h, "/").Body.String() }
	before := front()
	next := webtest.NewSource(t, mesh.Down, mesh.MajorOutage).Snapshot
	next.At = s.Snapshot.At.Add(2 * time.Second)
	next.ShowWallTime(step)
	s.Show(next)
	after := front()
	const status = "Major outage" // of every host
	if strings.Count(after, status) < 5+strings.Count(before, status) {
		t.Error("the page is that of the snapshot before the step")
	}
	if !strings.Contains(after, "1 h 1 min ago") {
		t.Error("the step changed the duration of an incident")
	}
}

// Readers see what was written as soon as the writer was answered, though the snapshot is still the same.
func TestPagesAreRenderedAgainAfterAWrite(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	for _, path := range []string{"/", "/api/v2/incidents.json"} {
		s.All = nil
		s.Events.Add(1)
		before := webtest.Get(t, h, path).Body.String()
		s.All = webtest.Incidents()
		s.Events.Add(1)
		after := webtest.Get(t, h, path).Body.String()
		if strings.Contains(before, "a1-1") || !strings.Contains(after, "a1-1") {
			t.Errorf("%s does not show what was written", path)
		}
	}
}
