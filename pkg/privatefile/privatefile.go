// Package privatefile writes files that hold secrets or state: only their owner can read them, and a crash leaves
// either the old content or the new, never a part.
package privatefile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// Write replaces the file at path with data, mode 0600, and makes missing directories above it with mode 0700. It
// returns when the content and the name have reached the disk. Two writers of one path must not run at the same time:
// they share the temporary file path.new.
func Write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return err
	}
	temporary := path + ".new"
	err := writeSynced(temporary, data)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // half a secret serves nobody, and may be what fills the disk
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Create makes the file at path if it is missing, and makes it private, whatever the umask is and whoever made it
// before. It changes no content. Programs that open a file by its name, as SQLite does, then find it private.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(fileMode), f.Close())
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(fileMode) // a file left by a crash has the mode it had
	}
	if err == nil {
		// Before the rename: some file systems write the new name first, and a power cut would leave an empty file.
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes the names of files created, renamed or removed in dir survive a power cut. It does nothing on
// Windows, which cannot sync directories.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
