//go:build unix

package command

import (
	"fmt"
	"os"
	"syscall"
)

// isJournal reports whether systemd connected the file to its journal. It then sets $JOURNAL_STREAM to the socket's
// device and inode; a child whose standard error was redirected inherits the variable, so the numbers must be compared.
func isJournal(f *os.File, stream string) bool {
	info, err := f.Stat()
	if err != nil || stream == "" {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
