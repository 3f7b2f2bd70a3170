package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// smallDisk mounts a disk of the given size in memory.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		testenv.SkipOrFail(t, "root, to mount a small disk: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill writes a file until the disk has no space left. The function that it returns removes the file.
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

// TestFullDisk fills the disk under a coordinator. It reports that, goes on judging from its reserve, and pauses only
// when that is used up too. Once there is space it continues. Nothing that was acknowledged is lost.
func TestFullDisk(t *testing.T) {
	testenv.RequireLong(t)
	m := newTestbed(t)
	disk := m.path("disk")
	smallDisk(t, disk, "64m")
	data := filepath.Join(disk, "d")
	m.startMesh(data)
	p := m.publish(data, "NC5")
	reported := func(text string) func() bool {
		return func() bool { return strings.Contains(m.must(m.coordinator, "status", "--data", data), text) }
	}

	free := fill(t, filepath.Join(disk, "filler"))
	m.eventually("the full disk is reported", reported("! disk full: free some space under "))
	m.eventually("the full disk is reported everywhere", func() bool {
		return strings.Contains(m.serve.log.String(), "disk full") && strings.Contains(m.get("/"), "Disk full")
	})
	m.breakAndMend(data, "NC1")

	freeMore := fill(t, filepath.Join(disk, "more"))
	m.eventually("that nothing can be stored is reported", reported("the disk has no space for observations"))
	m.eventually("that the judge paused is reported", func() bool {
		return strings.Contains(m.get("/metrics"), "probemesh_judging 0")
	})
	acked := p.count()

	free()
	freeMore()
	m.eventually("it continues", func() bool { return p.count() > acked+10 })
	m.eventually("the warning is cleared", func() bool { return !reported("disk ")() })
	m.breakAndMend(data, "NC2")
	before := m.history(data, "nc1")
	p.stop()
	m.stop(m.serve)
	m.startCoordinator(data)
	if diff := cmp.Diff(before, m.history(data, "nc1")); diff != "" {
		t.Error("the history differs after a restart:", diff)
	}
	m.stop(m.serve)
	checkNothingLost(t, data, p)
}
