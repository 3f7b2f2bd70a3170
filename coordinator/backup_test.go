package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A coordinator that is lost and restored elsewhere says the same of the same hosts, has the same history, and the agents that
// had joined the lost one speak to it without a word from anybody.
func TestARestoredCoordinatorGoesOn(t *testing.T) {
	m := newMission(t)
	data, saved, next := m.path("d"), m.path("b"), m.path("e")
	m.startCoordinator(data)
	m.startAgents(data)
	for i := range places {
		m.becomes(data, []string{"NC1", "NC2", "NC3", "NC4"}[i], mesh.Operational)
	}
	m.services["NC1"].Close()
	m.becomes(data, "NC1", mesh.MajorOutage)
	if out := m.must(m.coordinator, "backup", saved, "--data", data); !strings.Contains(out, "saved ") {
		t.Error(out)
	}
	if _, err := m.run(m.coordinator, "backup", saved, "--data", data); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error("a backup over another:", err)
	}
	before, was := m.history(data, "nc1"), m.statuses(data)
	m.stop(m.serve)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}

	if out := m.must(m.coordinator, "restore", saved, "--data", next); !strings.Contains(out, "now: coordinator serve") {
		t.Error(out)
	}
	if _, err := m.run(m.coordinator, "restore", saved, "--data", next); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error("a restore over another coordinator:", err)
	}
	m.startCoordinator(next)
	if diff := cmp.Diff(was, m.statuses(next)); diff != "" {
		t.Errorf("the statuses differ: %s", diff)
	}
	if diff := cmp.Diff(before, m.history(next, "nc1")); diff != "" {
		t.Errorf("the history differs: %s", diff)
	}
	// The stream reaches back to before the loss.
	m.must(m.coordinator, "explain", "NC1", "--data", next, "--at", before[len(before)-1].Published.Format("2006-01-02T15:04:05Z07:00"))
	m.openService("NC1")
	m.becomes(next, "NC1", mesh.Operational) // by what the agents say, who only ever joined the lost one
	m.eventually("all agents speak", func() bool {
		out, err := m.run(m.coordinator, "status", "--data", next)
		return err == nil && strings.Contains(out, "4 of 5 agents speak")
	})
	if diff := cmp.Diff(before, m.history(next, "nc1")[:len(before)]); diff != "" {
		t.Errorf("the history before the loss differs: %s", diff)
	}
}

// A backup with a damaged byte is refused with its name, and nothing is written.
func TestADamagedBackupWritesNothing(t *testing.T) {
	m := newMission(t)
	data, saved := m.path("d"), m.path("b")
	m.startCoordinator(data)
	m.must(m.coordinator, "backup", saved, "--data", data)
	for _, name := range []string{"streams/LEDGER", "files/bus/trust/keys.json", "manifest.json"} {
		path := filepath.Join(saved, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append([]byte(nil), whole...)
		damaged[len(damaged)/2] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = m.run(m.coordinator, "restore", saved, "--data", m.path("e"))
		if err == nil || !strings.Contains(err.Error(), "the backup is damaged: ") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(m.path("e")); err == nil {
			t.Errorf("%s: something is written", name)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.must(m.coordinator, "restore", saved, "--data", m.path("e"))
}
