// Package dirlock keeps a second process off a directory whose files one process alone may write. The operating system
// releases a lock with its process, however that ends, so that nobody has to remove a file after a crash.
package dirlock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FileName is the file that is locked. It stays when the lock is released: a process that removed it could remove the
// one that the next process has just locked.
const FileName = "lock"

// pidMax bounds what is read of a lock file, which anything may have written.
const pidMax = 20

// InUseError reports that another process has locked the directory.
type InUseError struct {
	Dir string
	PID int // of the process; zero if its version does not write it
}

// Error names the directory and, where it is known, the process.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return e.Dir + " is in use by another process"
	}
	return fmt.Sprintf("%s is in use by process %d", e.Dir, e.PID)
}

// Lock is a locked directory.
type Lock struct{ file *os.File }

// Acquire creates the directory, for its owner alone, and locks it until Release or the end of the process. It does not
// wait: it fails with an InUseError where another process, or another caller in this one, has the lock.
func Acquire(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory: %w", err)
	}
	path := filepath.Join(dir, FileName)
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if err := tryLock(f); err != nil {
			pid := readPID(f)
			f.Close()
			if errors.Is(err, errLocked) {
				return nil, &InUseError{Dir: dir, PID: pid}
			}
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if same(f, path) {
			writePID(f)
			return &Lock{f}, nil
		}
		f.Close() // it was removed, with the directory perhaps, between the two calls
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
}

// Release lets another process lock the directory.
func (l *Lock) Release() error { return l.file.Close() }

// Remove releases the lock and removes its file, before the directory itself is removed.
func (l *Lock) Remove() error { return errors.Join(os.Remove(l.file.Name()), l.file.Close()) }

func same(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// writePID names this process for the message of the next one. The lock holds without it, on a full disk for example.
func writePID(f *os.File) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
}

func readPID(f *os.File) int {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, pidMax))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
