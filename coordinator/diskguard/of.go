package diskguard

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Of tells how many bytes are free for this program on the directory's file system, and how large that is.
func Of(dir string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("the file system of %s: %w", dir, err)
	}
	block := uint64(s.Bsize)
	return uint64(s.Bavail) * block, uint64(s.Blocks) * block, nil
}
