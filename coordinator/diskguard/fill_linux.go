package diskguard

import (
	"os"

	"golang.org/x/sys/unix"
)

// fill allocates size bytes of the disk to the file without writing them.
func fill(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }
