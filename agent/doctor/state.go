package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	// diskMin is how much of the state directory's disk must be free: the spool at its largest, and room to renew the
	// credentials.
	diskMin = 100 << 20
	// inodesMin is how many files must still fit: the spool's segments, the credentials and their next versions.
	inodesMin = 64
)

// state examines whether the agent can write to its state directory, and whether others can.
func (e *examiner) state(context.Context) Finding {
	info, err := os.Stat(e.config.Directory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e.noState()
	case err != nil:
		return fault(State, err.Error(), "run this as the agent's user, or as root")
	case !info.IsDir():
		return fault(State, e.config.Directory+" is not a directory", "choose another with --state")
	}
	if err := writable(e.config.Directory); err != nil {
		return fault(State, "the agent could not write there: "+err.Error(),
			"run this as the agent's user; then: chown -R USER "+e.config.Directory+", or mount its disk for writing")
	}
	switch {
	case e.config.Identity != nil:
		// The error of a file that others can read names its remedy already.
		text, _, _ := strings.Cut(e.config.Identity.Error(), ": chmod ")
		return fault(State, text, "chown and chmod 600 the file for the agent's user, or join again")
	case !e.config.Joined:
		return note(State, e.config.Directory+" holds no identity: this agent has not joined yet",
			"`coordinator invite HOST` there, then here `agent join TOKEN`")
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0:
		return fault(State, "others can write to "+e.config.Directory, "chmod 700 "+e.config.Directory)
	}
	return ok(State, e.config.Directory+" is readable by this user, and its secrets by nobody else")
}

// noState examines whether `agent join` could make the directory.
func (e *examiner) noState() Finding {
	parent := existing(e.config.Directory)
	if !mayWrite(parent) {
		return fault(State, e.config.Directory+" does not exist, and this user may not make it in "+parent,
			"run this as root, or choose another with --state")
	}
	return note(State, e.config.Directory+" does not exist yet; `agent join` makes it", "")
}

// existing returns the directory, or the nearest one above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// writable writes a file to the disk and removes it.
func writable(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.WriteString("written by agent doctor\n"); err != nil {
		return err
	}
	return f.Sync()
}

// disk examines how much space the state directory's disk has.
func (e *examiner) disk(context.Context) Finding {
	dir := existing(e.config.Directory)
	bytes, inodes, err := free(dir)
	const remedy = "free some space (df -h, df -i): observations wait there while NATS is away, or else are dropped"
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return Finding{}
	case err != nil:
		return note(Disk, "the free space is unknown: "+err.Error(), "")
	case bytes < diskMin:
		return fault(Disk, fmt.Sprintf("%d MB free at %s, fewer than %d", bytes>>20, dir, diskMin>>20), remedy)
	case inodes < inodesMin:
		return fault(Disk, fmt.Sprintf("room for %d more files at %s, fewer than %d", inodes, dir, inodesMin), remedy)
	}
	return ok(Disk, fmt.Sprintf("%d MB free at %s", bytes>>20, dir))
}
