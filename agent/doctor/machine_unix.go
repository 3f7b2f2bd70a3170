//go:build linux || darwin

package doctor

import (
	"math"

	"golang.org/x/sys/unix"
)

// free returns how many bytes this user can still write at a path, and how many files it can make.
func free(path string) (bytes, inodes uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	inodes = s.Ffree
	if s.Files == 0 { // the file system does not limit them
		inodes = math.MaxUint64
	}
	return s.Bavail * uint64(s.Bsize), inodes, nil
}

func mayWrite(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
