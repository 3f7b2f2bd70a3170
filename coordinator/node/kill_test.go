//go:build linux

package node_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/node"
)

// killedData and killedNATS tell TestKilledCoordinator, in a process of its own, to be a coordinator.
const (
	killedData = "PROBEMESH_TEST_KILLED_DATA"
	killedNATS = "PROBEMESH_TEST_KILLED_NATS"
)

// TestKilledCoordinator is no test: it is the coordinator that killableProcess starts.
func TestKilledCoordinator(t *testing.T) {
	data := os.Getenv(killedData)
	if data == "" {
		return // of TestMain's ordinary run
	}
	n, err := node.Open(context.Background(), node.Config{
		Data: data, NATSListen: os.Getenv(killedNATS), Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		DiskReserve: true, Logger: zerolog.New(os.Stderr).Level(zerolog.ErrorLevel),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// startKillable starts a coordinator in a process of its own, on the mesh's directory and address.
func (m *renameMesh) startKillable() (kill func()) {
	m.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledCoordinator$")
	cmd.Env = append(os.Environ(), killedData+"="+m.config.Data, killedNATS+"="+m.config.NATSListen)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	m.t.Cleanup(kill)
	m.await("the coordinator answers", func() string {
		if _, err := m.client.State(m.t.Context(), time.Time{}); err != nil {
			return err.Error()
		}
		return ""
	})
	return kill
}

// A coordinator is killed right after hosts swapped names, one of which is down, and starts again. It replays what
// agents sent under the names from before, and has the same votes: nothing turns, and the history is as it was.
func TestACoordinatorKilledAfterARename(t *testing.T) {
	names := []string{"A", "B", "C", "D"}
	m := newRenameMesh(t, names...)
	m.await("at first", func() string { return m.judged(names, -1) })
	m.stop()
	kill := m.startKillable()
	m.await("in a process of its own", func() string { return m.judged(names, -1) })
	m.services[0].Close()
	m.await("with A down", func() string { return m.judged(names, 0) })

	swapped := []string{"B", "A", "C", "D"}
	m.apply(swapped, names)
	kill()
	kill = m.startKillable()
	before, err := m.client.Transitions(t.Context(), "B", 100)
	if err != nil || len(before) == 0 {
		t.Fatal(before, err)
	}
	m.await("after it was killed", func() string { return m.judged(swapped, 0) })
	m.await("when all have their names", func() string { return m.named(swapped) })
	kill()
	if err := os.Remove(filepath.Join(m.config.Data, "view.db")); err != nil {
		t.Fatal(err)
	}
	m.startKillable()
	m.await("with a new view", func() string { return m.judged(swapped, 0) })
	for i, host := range swapped {
		after, err := m.client.Transitions(t.Context(), host, 100)
		if err != nil || i == 0 && len(after) != len(before) {
			t.Errorf("%s has %d transitions, and had %d: %v", host, len(after), len(before), err)
		}
		for _, tr := range after {
			if tr.Host != host || i != 0 && tr.To != "operational" && tr.To != "" {
				t.Errorf("%s has the transition %+v", host, tr)
			}
		}
	}
}
