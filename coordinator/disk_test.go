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

// smallDisk mounts a disk of so many bytes in memory.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		testenv.Missing(t, "root, to mount a small disk: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill writes a file until the disk has no room left, and keeps at it until the function that it returns is called,
// which frees the room.
func fill(t *testing.T, path string) (free func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := make([]byte, size)
		for {
			if _, err = f.Write(block); err != nil {
				break
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	f.Close()
	return func() { os.Remove(path) }
}

// A disk that is full under a coordinator: it says so, goes on judging from its reserve, and stands still only when
// that is used up too. Once there is room it goes on. Nothing that was acknowledged is lost.
func TestAFullDiskIsSaidAndJudgingGoesOn(t *testing.T) {
	testenv.Long(t)
	m := newMission(t)
	disk := m.path("disk")
	smallDisk(t, disk, "64m")
	data := filepath.Join(disk, "d")
	m.startCoordinator(data)
	m.startAgents(data)
	for _, host := range []string{"NC1", "NC2", "NC3", "NC4"} {
		m.becomes(data, host, mesh.Operational)
	}
	p := m.publish(data, "NC5")
	said := func(words string) func() bool {
		return func() bool { return strings.Contains(m.must(m.coordinator, "status", "--data", data), words) }
	}

	free := fill(t, filepath.Join(disk, "filler"))
	m.eventually("the full disk is said", said("! disk full: free some space under "))
	if !strings.Contains(m.serve.log.String(), "disk full") || !strings.Contains(m.get("/"), "disk full") {
		t.Error("a full disk is not said everywhere")
	}
	m.services["NC1"].Close()
	m.becomes(data, "NC1", mesh.MajorOutage)
	m.openService("NC1")
	m.becomes(data, "NC1", mesh.Operational)

	freeMore := fill(t, filepath.Join(disk, "more"))
	m.eventually("that nothing can be kept is said", said("the disk has no room for what agents say"))
	m.eventually("a judge that stands still is said", func() bool { return strings.Contains(m.get("/metrics"), "probemesh_judging 0") })
	acked := p.count()

	free()
	freeMore()
	m.eventually("it goes on", func() bool { return p.count() > acked+10 })
	m.eventually("the end of it is said", func() bool { return !said("disk ")() })
	m.services["NC2"].Close()
	m.becomes(data, "NC2", mesh.MajorOutage)
	m.openService("NC2")
	m.becomes(data, "NC2", mesh.Operational)
	before := m.history(data, "nc1")
	p.stop()
	m.stop(m.serve)
	m.startCoordinator(data)
	if diff := cmp.Diff(before, m.history(data, "nc1")); diff != "" {
		t.Error("the history differs after a restart:", diff)
	}
	m.stop(m.serve)
	whole(t, data, p)
}
