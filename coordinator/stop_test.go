package main

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestStopLosesNothing stops the coordinator while agents publish and an outage begins or ends. What it acknowledged is
// in the stream afterwards, once, and every transition is published, once.
func TestStopLosesNothing(t *testing.T) {
	m := newTestbed(t)
	data := m.path("d")
	m.startMesh(data)
	p := m.publish(data, "NC5")
	for round := range 3 {
		acked := p.count()
		m.eventually("batches are acknowledged", func() bool { return p.count() > acked+10 })
		want := mesh.MajorOutage
		if round%2 == 0 {
			m.services["NC1"].Close()
		} else {
			m.openService("NC1")
			want = mesh.Operational
		}
		// Before the observations, between them, after the verdict.
		time.Sleep(time.Duration(round) * 400 * time.Millisecond)
		began := time.Now()
		m.stop(m.serve)
		t.Logf("it stopped within %s", time.Since(began).Round(10*time.Millisecond))
		m.startCoordinator(data)
		m.awaitStatus(data, "NC1", want)
	}
	p.stop()
	history := m.history(data, "nc1")
	m.stop(m.serve)
	checkNothingLost(t, data, p)
	verdicts := []mesh.Verdict{}
	for _, tr := range history {
		verdicts = append(verdicts, tr.Verdict)
	}
	if len(verdicts) < 4 || verdicts[0] != mesh.Up || verdicts[len(verdicts)-1] != mesh.Down {
		t.Errorf("the history is %v", verdicts)
	}
	for i := 1; i < len(verdicts); i++ {
		if verdicts[i] == verdicts[i-1] {
			t.Errorf("a verdict is published twice in a row: %v", verdicts)
		}
	}
}
