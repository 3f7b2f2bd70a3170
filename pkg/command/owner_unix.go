//go:build unix

package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// BecomeOwner makes a process of root's act as the owner of a state directory from here on, for good. The service can
// then read what a command writes there, and a symbolic link that the service's user left there opens nothing that this
// user could not open. It does nothing for other users, and if the directory does not exist.
func BecomeOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the owner of the state directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	// Groups first and the user last: without root the others could no longer be changed.
	for _, become := range []func() error{
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(int(owner.Gid)) },
		func() error { return syscall.Setuid(int(owner.Uid)) },
	} {
		if err := become(); err != nil {
			return fmt.Errorf("act as the owner of %s: %w", dir, err)
		}
	}
	return nil
}
