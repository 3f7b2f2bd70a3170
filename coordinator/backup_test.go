package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// A coordinator that is lost and restored elsewhere says the same of the same hosts, has the same history, and the
// agents that had joined the lost one speak to it without a word from anybody.
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

	told := m.must(m.coordinator, "restore", saved, "--data", next)
	for _, want := range []string{"now: coordinator serve", "joined since then must join again", "revoked since then are members again"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in %s", want, told)
		}
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
	m.eventually("all agents connected", func() bool {
		out, err := m.run(m.coordinator, "status", "--data", next)
		return err == nil && strings.Contains(out, "4 of 5 agents connected")
	})
	if diff := cmp.Diff(before, m.history(next, "nc1")[:len(before)]); diff != "" {
		t.Errorf("the history before the loss differs: %s", diff)
	}
}

// What no backup can know comes as the restore says: who joined since is named until it joins again, and who was
// revoked since is in until it is revoked again.
func TestWhatCameAfterTheBackupIsLostAsIsSaid(t *testing.T) {
	m := newMission(t)
	data, next := m.path("d"), m.path("e")
	m.startCoordinator(data)
	m.join(data, "NC1", m.path("NC1"))
	m.startAgent("NC1")
	m.must(m.coordinator, "backup", m.path("b"), "--data", data)
	m.join(data, "NC2", m.path("NC2"))
	later := m.startAgent("NC2")
	m.speak(data, "2 of 5")
	m.must(m.coordinator, "revoke", "NC1", "--data", data)
	m.speak(data, "1 of 5")
	m.stop(m.serve)

	m.must(m.coordinator, "restore", m.path("b"), "--data", next)
	m.startCoordinator(next)
	m.speak(next, "the ledger does not know, as after a restore: nc2;")
	m.speak(next, "1 of 5")
	if out := m.must(m.coordinator, "revoke", "NC1", "--data", next); !strings.Contains(out, "revoked and disconnected") {
		t.Error(out)
	}
	m.speak(next, "0 of 5")
	m.stop(later)
	m.join(next, "NC2", m.path("NC2-again"))
	m.startAgent("NC2-again")
	m.speak(next, "1 of 5")
	m.eventually("that it joined again is seen", func() bool {
		return !strings.Contains(m.must(m.coordinator, "status", "--data", next), "does not know")
	})
}

// speak waits until the coordinator's status says the words, as in how many agents speak.
func (m *mission) speak(data, words string) {
	m.t.Helper()
	m.eventually("status says "+words, func() bool {
		return strings.Contains(m.must(m.coordinator, "status", "--data", data), words)
	})
}

// service is the user that a coordinator runs as in these tests: nobody.
const service = 65534

// Root restores for the service's user: where the directory that it works in is this user's, so is everything in it,
// and the coordinator serves as this user. The backup stays one that only root can read.
func TestWhatRootRestoresIsTheServices(t *testing.T) {
	testenv.Root(t)
	m := newMission(t)
	m.startCoordinator(m.path("d"))
	m.must(m.coordinator, "backup", m.path("b"), "--data", m.path("d"))
	m.stop(m.serve)
	m.openTo(service)
	for _, dir := range []string{"there", "above"} {
		if err := errors.Join(os.Mkdir(m.path(dir), 0o700), os.Chown(m.path(dir), service, service)); err != nil {
			t.Fatal(err)
		}
	}
	m.as = &syscall.Credential{Uid: service, Gid: service}
	for _, data := range []string{m.path("there"), m.path("above/made/d")} {
		if out := m.must(m.coordinator, "restore", m.path("b"), "--data", data); strings.Contains(out, "the files belong to root") {
			t.Error(out)
		}
		owned(t, data, service)
		m.startCoordinator(data)
		m.stop(m.serve)
	}
	if out := m.must(m.coordinator, "restore", m.path("b"), "--data", m.path("roots")); !strings.Contains(out, "the files belong to root") {
		t.Error(out)
	}
	owned(t, m.path("roots"), 0)
}

// openTo lets another user run the programs and read the catalog. The tests' own program is where only its user gets.
func (m *mission) openTo(uid int) {
	m.t.Helper()
	program, err := os.ReadFile(m.coordinator)
	if err == nil {
		err = errors.Join(os.Remove(m.coordinator), os.WriteFile(m.coordinator, program, 0o755))
	}
	if err = errors.Join(err, os.Chmod(m.dir, 0o755), os.Chown(m.path("catalog.yaml"), uid, uid)); err != nil {
		m.t.Fatal(err)
	}
}

// owned checks that a directory and everything in it is the user's alone.
func owned(t *testing.T, dir string, uid uint32) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != uid || owner.Gid != uid || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v of %d:%d, wanted of %d alone", path, info.Mode(), owner.Uid, owner.Gid, uid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
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
