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

	"github.com/probemesh/probemesh/pkg/regularfile"
)

// Archive is a verified backup. It keeps its files open, so that a process that drops the right to read the directory
// can still read them.
type Archive struct {
	Manifest Manifest
	dir      string
	files    map[string]*os.File
}

// Open reads the manifest and verifies every file. The caller closes the archive.
func Open(dir string) (*Archive, error) {
	path := filepath.Join(dir, manifestName)
	data, _, err := regularfile.Read(path, manifestMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s contains no complete backup: its %s is missing", dir, manifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("open the backup: %w", err)
	}
	a := &Archive{dir: dir, files: map[string]*os.File{}}
	if json.Unmarshal(data, &a.Manifest) != nil {
		return nil, fmt.Errorf("the backup is damaged: %s is not a manifest", path)
	}
	// The checksum covers the manifest's meaning. JSON ignores unknown fields and spaces, so a manifest with damage
	// there is found by writing it again.
	again, err := json.MarshalIndent(a.Manifest, "", "  ")
	sum, sumErr := a.Manifest.checksum()
	switch {
	case a.Manifest.Format > Format:
		return nil, fmt.Errorf("the backup was made by a newer version: restore it with %s", a.Manifest.Version)
	case err != nil || sumErr != nil || a.Manifest.Format < 1 || sum != a.Manifest.Sum || !bytes.Equal(again, data):
		return nil, fmt.Errorf("the backup is damaged: %s does not match its checksum", path)
	}
	for _, f := range a.Manifest.Files {
		if err := a.openFile(f); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

// openFile opens a file and verifies its content.
func (a *Archive) openFile(f File) error {
	path, err := pathOf(a.dir, f.Name)
	if err != nil {
		return err
	}
	// A pipe in place of a file would block for ever, with nothing said.
	r, info, err := regularfile.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the backup is damaged: %s is missing", f.Name)
	}
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	a.files[f.Name] = r
	// Compared before reading, so that a file that is far too large is not read to its end.
	if info.Size() != f.Size {
		return fmt.Errorf("the backup is damaged: %s has %d bytes instead of %d", f.Name, info.Size(), f.Size)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	switch {
	case err != nil:
		return fmt.Errorf("read the backup's %s: %w", f.Name, err)
	case n != f.Size:
		return fmt.Errorf("the backup is damaged: %s has %d bytes instead of %d", f.Name, n, f.Size)
	case hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		return fmt.Errorf("the backup is damaged: %s does not match its checksum", f.Name)
	}
	return nil
}

// Read returns a reader of one file, from its beginning.
func (a *Archive) Read(name string) (io.Reader, error) {
	i := slices.IndexFunc(a.Manifest.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("the backup has no %s", name)
	}
	return io.NewSectionReader(a.files[name], 0, a.Manifest.Files[i].Size), nil
}

// Close closes the files.
func (a *Archive) Close() (err error) {
	for _, f := range a.files {
		err = errors.Join(err, f.Close())
	}
	return err
}
