//go:build unix

package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// BecomeOwner has root act as the owner of a state directory from here on, for good: what a command writes there the service
// can read, and a link that the service's user laid there opens nothing that this user may not open. For everybody else,
// and where there is no such directory yet, nothing changes.
func BecomeOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the state directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
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
