package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The wall clock was stepped back: a snapshot that is shown as earlier is the newer one, and readers get it.
func TestThePageIsMadeAnewAfterTheClockWasSteppedBack(t *testing.T) {
	const step = 10 * time.Minute
	s := newSource(t, mesh.Up, mesh.Operational)
	s.incidents = story()[:1] // it goes on since an hour
	h := public(s)
	read := func() string { return get(t, h, "/").Body.String() }
	before := read()
	next := newSource(t, mesh.Down, mesh.MajorOutage).snapshot
	next.At = s.snapshot.At.Add(2 * time.Second)
	next.ShowWallTime(step)
	s.snapshot = next
	after := read()
	if word := "Major outage"; strings.Count(after, word) < 5+strings.Count(before, word) { // of every host
		t.Error("readers get the page of the moment before the step")
	}
	if !strings.Contains(after, "1 h 1 min ago") {
		t.Error("the step changes for how long an incident goes on")
	}
}
