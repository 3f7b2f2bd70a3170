package diskguard

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Usage returns how many bytes this process may still write to the directory's file system, and its size.
func Usage(dir string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("the file system of %s: %w", dir, err)
	}
	block := uint64(s.Bsize)
	return uint64(s.Bavail) * block, uint64(s.Blocks) * block, nil
}
