package spool_test

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// smallDisk mounts a disk of 256 KB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		testenv.SkipOrFail(t, "root, to mount a small disk: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a full disk Append fails and loses nothing, acknowledged space is freed, and Append works once there is room.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "spool")
	s := open(t, spool.Config{Dir: dir})
	full := 0
	for n := 1; full == 0; n++ {
		switch err := s.Append([]spool.Record{record(n)}); {
		case errors.Is(err, unix.ENOSPC):
			full = n
		case err != nil:
			t.Fatal(err)
		}
	}
	same(t, left(t, s), 1, full-1)
	for range 3 {
		if err := s.Append([]spool.Record{record(full)}); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("appending to a full disk: %v", err)
		}
	}
	same(t, left(t, open(t, spool.Config{Dir: image(t, dir)})), 1, full-1)
	var all []uint64
	for n := 1; n < full; n++ {
		all = append(all, uint64(n))
	}
	_ = s.Ack(all...) // it may fail to write a mark, but it deletes the segments
	appendTo(t, s, full, full+20)
	same(t, left(t, s), full, full+20)
	same(t, left(t, open(t, spool.Config{Dir: image(t, dir)})), full, full+20)
	s.Close()
}
