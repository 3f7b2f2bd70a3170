package diskguard

import (
	"os"

	"golang.org/x/sys/unix"
)

// fill makes the file take so many bytes of the disk without writing them.
func fill(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }
