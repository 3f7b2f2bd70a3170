package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/pkg/dirlock"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// The names in the directory besides those of the site.
const (
	versionsName = ".versions" // the versions' directories
	currentName  = ".current"  // a symbolic link to the version that readers see
	manifestName = ".manifest.json"
	timeName     = "copy.json" // the time of the latest copy, for the script of pages
	partSuffix   = ".part"     // of what is being written
)

// manifestMax bounds a manifest in bytes.
const manifestMax = 256 << 20

// file is a file of a version. The manifest lists all by their documents' addresses.
type file struct {
	mirror.Known
	Name    string    `json:"name"` // below the version's directory
	Sum     string    `json:"sum"`  // of the content without its time and the notice
	Page    bool      `json:"page,omitempty"`
	Notice  string    `json:"notice,omitempty"` // the digest of what a page shows; "": none
	Written time.Time `json:"written"`          // what a page says
}

// tree is the directory of a copy.
type tree struct {
	dir  string
	lock *dirlock.Lock
}

func openTree(dir string) (*tree, error) {
	if err := refuseForeign(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, versionsName), 0o755); err != nil {
		return nil, fmt.Errorf("create the directory of the copy: %w", err)
	}
	lock, err := dirlock.Acquire(filepath.Join(dir, versionsName))
	var inUse *dirlock.InUseError
	if errors.As(err, &inUse) {
		return nil, fmt.Errorf("another export writes to %s: %w", dir, err)
	}
	if err != nil {
		return nil, err
	}
	return &tree{dir, lock}, nil
}

func (t *tree) close() { _ = t.lock.Release() }

// refuseForeign fails if a directory without a copy has files that no export wrote: it is probably not meant, and the
// copy would be mixed with them. Nothing was written then. In a directory with a copy, its server may have other files.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	t := &tree{dir: dir}
	if to, err := os.Readlink(filepath.Join(dir, currentName)); err == nil && filepath.Dir(to) == versionsName {
		return nil
	}
	for _, e := range entries {
		if !t.known(e.Name()) {
			return fmt.Errorf("%s exists, and no export wrote it: choose an empty directory", filepath.Join(dir, e.Name()))
		}
	}
	return nil
}

// known reports whether a name in a directory without a copy is the notice, or what an export left that did not end.
func (t *tree) known(name string) bool {
	whole := strings.TrimSuffix(name, partSuffix)
	switch {
	case strings.Contains(name, NoticeFile): // editors keep files of such names beside it
		return true
	case name == "lost+found": // of a file system for the copy alone
		return true
	case whole == versionsName, whole == currentName, whole == timeName:
		return true
	}
	to, err := os.Readlink(filepath.Join(t.dir, name))
	return err == nil && to == filepath.Join(currentName, whole)
}

// ours reports whether a name in the directory leads into the version that readers see.
func (t *tree) ours(name string) bool {
	to, err := os.Readlink(filepath.Join(t.dir, name))
	return err == nil && to == filepath.Join(currentName, name)
}

// version is a version of the copy that is being written.
type version struct {
	tree    *tree
	name    string // of its directory, below versionsName
	old     string // the directory of the version before; "": there is none
	before  map[string]file
	files   map[string]file
	changed bool
	made    map[string]bool // directories
}

// begin starts a new version.
func (t *tree) begin() (*version, error) {
	v := &version{tree: t, before: map[string]file{}, files: map[string]file{}, made: map[string]bool{}}
	number := 0
	if to, err := os.Readlink(filepath.Join(t.dir, currentName)); err == nil {
		if number, err = strconv.Atoi(filepath.Base(to)); err != nil {
			return nil, fmt.Errorf("%s leads to %s, which no export wrote", currentName, to)
		}
		v.old = filepath.Join(t.dir, to)
		data, _, err := regularfile.Read(filepath.Join(v.old, manifestName), manifestMax)
		// Without a manifest the version is of no use to the next one: everything is written again.
		if err != nil || json.Unmarshal(data, &v.before) != nil {
			v.old, v.before = "", map[string]file{}
		}
	}
	v.name = strconv.Itoa(number + 1)
	if err := os.RemoveAll(v.dir()); err != nil { // what a crash left
		return nil, err
	}
	return v, os.Mkdir(v.dir(), 0o755)
}

// complete reports whether there is a version before.
func (v *version) complete() bool { return v.old != "" }

func (v *version) dir() string { return filepath.Join(v.tree.dir, versionsName, v.name) }

// place returns the path of a file of this version, in a directory that exists.
func (v *version) place(name string) (string, error) {
	path := filepath.Join(v.dir(), filepath.FromSlash(name))
	dir := filepath.Dir(path)
	if v.made[dir] {
		return path, nil
	}
	for made := dir; len(made) > len(v.dir()); made = filepath.Dir(made) {
		v.made[made] = true // also those above, which swap has on disk
	}
	return path, os.MkdirAll(dir, 0o755)
}

// write adds a file.
func (v *version) write(address string, f file, data []byte) error {
	path, err := v.place(f.Name)
	if err != nil {
		return err
	}
	v.changed, v.files[address] = true, f
	return writeFile(path, data)
}

// writeFile writes a new file and has it on disk.
func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// link adds a file that is as in the version before.
func (v *version) link(address string, f file) error {
	path, err := v.place(f.Name)
	if err != nil {
		return err
	}
	v.files[address] = f
	old := filepath.Join(v.old, filepath.FromSlash(f.Name))
	if os.Link(old, path) == nil {
		return nil
	}
	return copyFile(old, path) // the file system has no hard links
}

func copyFile(from, to string) error {
	in, info, err := regularfile.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(to, data), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

func (v *version) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(v.old, filepath.FromSlash(name)))
}

// discard removes the version unless it was published.
func (v *version) discard() {
	if v.name != "" {
		_ = os.RemoveAll(v.dir())
	}
}

// publish has readers see the version, if it is another one, and records when the copy was made.
func (v *version) publish(at time.Time) error {
	if v.changed {
		if err := v.swap(); err != nil {
			return fmt.Errorf("publish the copy: %w", err)
		}
	} else if err := v.saveManifest(v.old); err != nil { // validators may be new
		return err
	}
	if at.IsZero() {
		return nil
	}
	return replace(filepath.Join(v.tree.dir, timeName),
		fmt.Appendf(nil, "{\"at\": %q}\n", at.UTC().Format(time.RFC3339)))
}

// copied returns when the copy was last made.
func (t *tree) copied() time.Time {
	var latest struct{ At time.Time }
	data, _, err := regularfile.Read(filepath.Join(t.dir, timeName), 1<<10)
	if err == nil {
		_ = json.Unmarshal(data, &latest) // what cannot be read is long ago
	}
	return latest.At
}

func (v *version) saveManifest(dir string) error {
	data, err := json.Marshal(v.files)
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, manifestName), data)
}

// replace writes a file so that a reader sees the former content or all of the new one.
func replace(path string, data []byte) error {
	part := path + partSuffix
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := writeFile(part, data); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// swap makes this version the one that readers see.
func (v *version) swap() error {
	if err := v.saveManifest(v.dir()); err != nil {
		return err
	}
	for dir := range v.made {
		if err := privatefile.SyncDir(dir); err != nil {
			return err
		}
	}
	if err := errors.Join(privatefile.SyncDir(v.dir()), privatefile.SyncDir(filepath.Dir(v.dir()))); err != nil {
		return err
	}
	names, err := v.names()
	if err != nil {
		return err
	}
	if err := v.tree.linkAll(names); err != nil {
		return err
	}
	if err := relink(filepath.Join(v.tree.dir, currentName), filepath.Join(versionsName, v.name)); err != nil {
		return err
	}
	published := v.name
	v.name = ""
	return errors.Join(privatefile.SyncDir(v.tree.dir), v.tree.clean(names, published, filepath.Base(v.old)))
}

// linkAll makes the links that lead to the names in the version that readers see. Those that are new lead nowhere until
// the swap. It makes none if one of the names is taken by what no export wrote.
func (t *tree) linkAll(names []string) error {
	var missing []string
	for _, name := range names {
		if t.ours(name) {
			continue
		}
		path := filepath.Join(t.dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists, and no export wrote it: move it away", path)
		}
		missing = append(missing, name)
	}
	for _, name := range missing {
		if err := relink(filepath.Join(t.dir, name), filepath.Join(currentName, name)); err != nil {
			return err
		}
	}
	return nil
}

// names lists what is at the top of the version.
func (v *version) names() (out []string, err error) {
	entries, err := os.ReadDir(v.dir())
	for _, e := range entries {
		if e.Name() != manifestName {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// relink makes a symbolic link, in place of one that exists.
func relink(path, to string) error {
	part := path + partSuffix
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(to, part); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// clean removes the names that the site has no more, and all versions but those to keep: the one that readers see and
// the one before it, whose files may be open.
func (t *tree) clean(names []string, keep ...string) error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if t.ours(e.Name()) && !slices.Contains(names, e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(t.dir, e.Name())))
		}
	}
	versions, listed := os.ReadDir(filepath.Join(t.dir, versionsName))
	for _, e := range versions {
		if e.IsDir() && !slices.Contains(keep, e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(t.dir, versionsName, e.Name())))
		}
	}
	return errors.Join(err, listed)
}
