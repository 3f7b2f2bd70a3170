// Package backup is a backup on disk: a directory of files and a manifest with their checksums, which is written last, so that
// a backup that was cut short is none. Create begins one; Open checks one whole before anything is taken from it.
package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/privatefile"
)

// Format is the layout that this version writes, and the newest that it reads.
const Format = 1

const (
	manifestName = "manifest.json"
	manifestMax  = 16 << 20 // bytes; a file of a backup takes about a hundred
)

// Manifest says what a backup holds.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that made it
	Made    time.Time `json:"made"`    // what had happened by then is in it
	Files   []File    `json:"files"`
	Sum     string    `json:"sum"` // SHA-256 of this manifest with an empty sum
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"` // with slashes, below the backup's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Size is the size of all its files in bytes.
func (m Manifest) Size() (bytes int64) {
	for _, f := range m.Files {
		bytes += f.Size
	}
	return bytes
}

func (m Manifest) sum() (string, error) {
	m.Sum = ""
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// Writer is a backup that is being made.
type Writer struct {
	dir  string
	made bool // by Create
	m    Manifest
}

// Create begins a backup in a directory that is missing or empty.
func Create(dir string) (*Writer, error) {
	w := &Writer{dir: dir, m: Manifest{Format: Format}}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.made = true
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the backup's directory: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("the backup's directory: %w", err)
	case len(entries) > 0:
		return nil, fmt.Errorf("%s is not empty: name a new directory for each backup", dir)
	}
	return w, nil
}

// Add writes one file: fill writes its content.
func (w *Writer) Add(name string, fill func(io.Writer) error) error {
	path, err := below(w.dir, name)
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
	w.m.Files = append(w.m.Files, File{Name: name, Size: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Finish writes the manifest: from then on it is a backup, of the moment at which it was begun.
func (w *Writer) Finish(version string, begun time.Time) (m Manifest, err error) {
	w.m.Version, w.m.Made = version, begun.UTC()
	if w.m.Sum, err = w.m.sum(); err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	data, err := json.MarshalIndent(w.m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	if err := privatefile.Write(filepath.Join(w.dir, manifestName), data); err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	return w.m, nil
}

// Abandon removes what was written of a backup that failed, so that it may be tried again.
func (w *Writer) Abandon() error {
	if w.made {
		return os.RemoveAll(w.dir)
	}
	entries, err := os.ReadDir(w.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(w.dir, e.Name())))
	}
	return err
}

// below is the path of a name in a directory that it cannot leave.
func below(dir, name string) (string, error) {
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) || name == manifestName {
		return "", fmt.Errorf("%q is no name for a file of a backup", name)
	}
	return filepath.Join(dir, local), nil
}

// Archive is a backup that was found whole. It holds its files open: who gives up the right to read the directory can read them
// still.
type Archive struct {
	Manifest
	dir  string
	open map[string]*os.File
}

// Open reads the manifest and checks every file against it. The caller closes it.
func Open(dir string) (*Archive, error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no whole backup: its %s is missing", dir, manifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("the backup: %w", err)
	}
	a := &Archive{dir: dir, open: map[string]*os.File{}}
	if len(data) > manifestMax || json.Unmarshal(data, &a.Manifest) != nil {
		return nil, fmt.Errorf("the backup is damaged: %s is not a manifest", filepath.Join(dir, manifestName))
	}
	// A manifest is read only as it was written, since JSON forgives what a checksum of its meaning would not see.
	again, err := json.MarshalIndent(a.Manifest, "", "  ")
	switch sum, failed := a.sum(); {
	case a.Format > Format:
		return nil, fmt.Errorf("the backup was made by a newer version, %s: restore it with that one", a.Version)
	case err != nil || failed != nil || a.Format < 1 || sum != a.Sum || !bytes.Equal(again, data):
		return nil, fmt.Errorf("the backup is damaged: %s does not fit its own checksum", filepath.Join(dir, manifestName))
	}
	for _, f := range a.Files {
		if err := a.check(f); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

// Read reads one of its files.
func (a *Archive) Read(name string) (io.Reader, error) {
	i := slices.IndexFunc(a.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("the backup has no %s", name)
	}
	return io.NewSectionReader(a.open[name], 0, a.Files[i].Size), nil
}

// Close lets go of its files.
func (a *Archive) Close() (err error) {
	for _, f := range a.open {
		err = errors.Join(err, f.Close())
	}
	return err
}

// check opens a file and reads it through.
func (a *Archive) check(f File) error {
	path, err := below(a.dir, f.Name)
	if err != nil {
		return err
	}
	r, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the backup is damaged: %s is missing", f.Name)
	}
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	a.open[f.Name] = r
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	switch {
	case err != nil:
		return fmt.Errorf("the backup's %s: %w", f.Name, err)
	case n != f.Size:
		return fmt.Errorf("the backup is damaged: %s has %d bytes, not %d", f.Name, n, f.Size)
	case hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		return fmt.Errorf("the backup is damaged: %s does not fit its checksum", f.Name)
	}
	return nil
}
