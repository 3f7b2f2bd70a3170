package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestRestoredCoordinatorContinues restores a lost coordinator elsewhere. It has the same statuses and the same
// history, and the agents of the lost one connect to it by themselves.
func TestRestoredCoordinatorContinues(t *testing.T) {
	t.Parallel()
	m := newTestbed(t)
	data, saved, next := m.path("d"), m.path("b"), m.path("e")
	m.startMesh(data)
	m.services["NC1"].Close()
	m.awaitStatus(data, "NC1", mesh.MajorOutage)
	if out := m.must(m.coordinator, "backup", saved, "--data", data); !strings.Contains(out, "saved ") {
		t.Error(out)
	}
	before, was := m.history(data, "nc1"), m.statuses(data)
	m.stop(m.serve)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}

	out := m.must(m.coordinator, "restore", saved, "--data", next)
	for _, want := range []string{
		"now: coordinator serve", "joined since then must join again", "revoked since then are members again",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	m.startCoordinator(next)
	if diff := cmp.Diff(was, m.statuses(next)); diff != "" {
		t.Errorf("the statuses differ: %s", diff)
	}
	if diff := cmp.Diff(before, m.history(next, "nc1")); diff != "" {
		t.Errorf("the history differs: %s", diff)
	}
	// The stream reaches back to before the loss.
	at := before[len(before)-1].Published.Format(time.RFC3339)
	m.must(m.coordinator, "explain", "NC1", "--data", next, "--at", at)
	m.openService("NC1")
	m.awaitStatus(next, "NC1", mesh.Operational) // from observations of agents that joined the lost one
	m.eventually("all agents connected", func() bool {
		out, err := m.run(m.coordinator, "status", "--data", next)
		return err == nil && strings.Contains(out, "4 of 5 agents connected")
	})
	if diff := cmp.Diff(before, m.history(next, "nc1")[:len(before)]); diff != "" {
		t.Errorf("the history before the loss differs: %s", diff)
	}
}

// TestRestoreLosesWhatHappenedSince as its output says: an agent that joined since then is reported until it joins
// again, and one that was revoked since then is a member until it is revoked again.
func TestRestoreLosesWhatHappenedSince(t *testing.T) {
	t.Parallel()
	m := newTestbed(t)
	data, next := m.path("d"), m.path("e")
	m.startCoordinator(data)
	m.join(data, "NC1", m.path("NC1"))
	m.startAgent("NC1")
	m.must(m.coordinator, "backup", m.path("b"), "--data", data)
	m.join(data, "NC2", m.path("NC2"))
	later := m.startAgent("NC2")
	m.awaitInStatus(data, "2 of 5")
	m.must(m.coordinator, "revoke", "NC1", "--data", data)
	m.awaitInStatus(data, "1 of 5")
	m.stop(m.serve)

	m.must(m.coordinator, "restore", m.path("b"), "--data", next)
	m.startCoordinator(next)
	m.awaitInStatus(next, "the ledger does not know, as after a restore: NC2;")
	m.awaitInStatus(next, "1 of 5")
	m.must(m.coordinator, "revoke", "NC1", "--data", next)
	m.awaitInStatus(next, "0 of 5")
	m.stop(later)
	m.join(next, "NC2", m.path("NC2-again"))
	m.startAgent("NC2-again")
	m.awaitInStatus(next, "1 of 5")
	m.eventually("the agent that joined again is no longer reported", func() bool {
		return !strings.Contains(m.must(m.coordinator, "status", "--data", next), "does not know")
	})
}

// awaitInStatus waits until the output of the command status contains the text.
func (m *testbed) awaitInStatus(data, text string) {
	m.t.Helper()
	m.eventually("status prints "+text, func() bool {
		return strings.Contains(m.must(m.coordinator, "status", "--data", data), text)
	})
}

// serviceUser is the user that a coordinator runs as in these tests: nobody.
const serviceUser = 65534

// TestRootRestoresForTheServiceUser: if the directory that root restores in belongs to the service's user, so do the
// restored files, and the coordinator runs as that user. Only root can read the backup.
func TestRootRestoresForTheServiceUser(t *testing.T) {
	testenv.RequireRoot(t)
	m := newTestbed(t)
	m.startCoordinator(m.path("d"))
	m.must(m.coordinator, "backup", m.path("b"), "--data", m.path("d"))
	m.stop(m.serve)
	m.openTo(serviceUser)
	for _, dir := range []string{"there", "above"} {
		err := errors.Join(os.Mkdir(m.path(dir), 0o700), os.Chown(m.path(dir), serviceUser, serviceUser))
		if err != nil {
			t.Fatal(err)
		}
	}
	m.as = &syscall.Credential{Uid: serviceUser, Gid: serviceUser}
	for _, data := range []string{m.path("there"), m.path("above/made/d")} {
		out := m.must(m.coordinator, "restore", m.path("b"), "--data", data)
		if strings.Contains(out, "the files belong to root") {
			t.Error(out)
		}
		owned(t, data, serviceUser)
		m.startCoordinator(data)
		m.stop(m.serve)
	}
	out := m.must(m.coordinator, "restore", m.path("b"), "--data", m.path("roots"))
	if !strings.Contains(out, "the files belong to root") {
		t.Error(out)
	}
	owned(t, m.path("roots"), 0)
}

// openTo lets another user run the programs and read the catalog. The test's own program is in a directory that only
// its user can open.
func (m *testbed) openTo(uid int) {
	m.t.Helper()
	program, err := os.ReadFile(m.coordinator)
	if err == nil {
		err = errors.Join(os.Remove(m.coordinator), os.WriteFile(m.coordinator, program, 0o755))
	}
	if err = errors.Join(err, os.Chmod(m.dir, 0o755), os.Chown(m.path("catalog.yaml"), uid, uid)); err != nil {
		m.t.Fatal(err)
	}
}

// owned checks that a directory and everything in it belongs to the user, and that nobody else can read it.
func owned(t *testing.T, dir string, uid uint32) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		if owner.Uid != uid || owner.Gid != uid || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v of %d:%d, wanted of %d only", path, info.Mode(), owner.Uid, owner.Gid, uid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDamagedBackupWritesNothing: the error names the damaged file, and no directory is created.
func TestDamagedBackupWritesNothing(t *testing.T) {
	m := newTestbed(t)
	data, saved := m.path("d"), m.path("b")
	m.startCoordinator(data)
	m.must(m.coordinator, "backup", saved, "--data", data)
	for _, name := range []string{"streams/LEDGER", "files/bus/trust/keys.json", "manifest.json"} {
		path := filepath.Join(saved, name)
		intact, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append([]byte(nil), intact...)
		damaged[len(damaged)/2] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = m.run(m.coordinator, "restore", saved, "--data", m.path("e"))
		if err == nil || !strings.Contains(err.Error(), "the backup is damaged: ") ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(m.path("e")); err == nil {
			t.Errorf("%s: something is written", name)
		}
		if err := os.WriteFile(path, intact, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.must(m.coordinator, "restore", saved, "--data", m.path("e"))
}
