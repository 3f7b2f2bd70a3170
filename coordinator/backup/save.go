package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/probemesh/probemesh/pkg/privatefile"
)

// Source hands out the parts of a backup: the running coordinator, through its admin socket.
type Source interface {
	// BackupParts lists the parts in the order in which they must be fetched.
	BackupParts(ctx context.Context) ([]string, error)
	// BackupPart writes one part. It returns nil only if the part is complete.
	BackupPart(ctx context.Context, name string, w io.Writer) error
}

// Save fetches every part of the source into a new backup in the directory. If it fails it removes what it wrote. The
// version is that of the program that saves.
func Save(ctx context.Context, source Source, dir, version string) (m Manifest, err error) {
	begun := time.Now()
	parts, err := source.BackupParts(ctx)
	if err != nil {
		return m, err
	}
	w, err := Create(dir)
	if err != nil {
		return m, err
	}
	for _, part := range parts {
		err = w.Add(part, func(out io.Writer) error { return source.BackupPart(ctx, part, out) })
		if err != nil {
			return m, errors.Join(err, w.Abandon())
		}
	}
	if m, err = w.Finish(version, begun); err != nil {
		return m, errors.Join(err, w.Abandon())
	}
	return m, nil
}

// Writer writes a backup file by file.
type Writer struct {
	dir      string
	created  bool // the directory, by Create
	manifest Manifest
}

// Create begins a backup in a directory that is missing or empty. The caller calls Finish, or Abandon if anything
// failed.
func Create(dir string) (*Writer, error) {
	w := &Writer{dir: dir, manifest: Manifest{Format: Format}}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.created = true
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("create the backup's directory: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("read the backup's directory: %w", err)
	case len(entries) > 0:
		return nil, fmt.Errorf("%s is not empty: name a new directory for each backup", dir)
	}
	return w, nil
}

// Add writes one file and syncs it to the disk. The function fill writes its content.
func (w *Writer) Add(name string, fill func(io.Writer) error) error {
	path, err := pathOf(w.dir, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if err := fill(io.MultiWriter(f, sum)); err != nil {
		return fmt.Errorf("write the backup's %s: %w", name, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the backup's %s: %w", name, err)
	}
	w.manifest.Files = append(w.manifest.Files,
		File{Name: name, Size: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Finish writes the manifest, which makes the directory a backup of the time at which it was begun.
func (w *Writer) Finish(version string, begun time.Time) (m Manifest, err error) {
	w.manifest.Version, w.manifest.Made = version, begun.UTC()
	if w.manifest.Sum, err = w.manifest.checksum(); err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	data, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	if err := privatefile.Write(filepath.Join(w.dir, manifestName), data); err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	return w.manifest, nil
}

// Abandon removes what was written, so that the same directory can be used again.
func (w *Writer) Abandon() error {
	if w.created {
		return os.RemoveAll(w.dir)
	}
	entries, err := os.ReadDir(w.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(w.dir, e.Name())))
	}
	return err
}
