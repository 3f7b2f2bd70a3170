package backup_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/coordinator/backup"
)

// save writes a backup of two files.
func save(t *testing.T, dir string) {
	t.Helper()
	w, err := backup.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"streams/OBS": "observations", "files/bus/key": "secret"} {
		if err := w.Add(name, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish("v1", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestBackupIsReadAsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	save(t, dir)
	a, err := backup.Open(dir)
	if err != nil || a.Manifest.Version != "v1" || len(a.Manifest.Files) != 2 {
		t.Fatal(a, err)
	}
	defer a.Close()
	for range 2 {
		r, err := a.Read("streams/OBS")
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); err != nil || string(data) != "observations" {
			t.Error(string(data), err)
		}
	}
	if _, err := a.Read("manifest.json"); err == nil {
		t.Error("a file outside of the manifest is read")
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 {
			t.Error("other users can read", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := backup.Create(dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error("a backup replaces another:", err)
	}
}

func TestNamesStayBelowTheDirectory(t *testing.T) {
	w, err := backup.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "/etc/x", "a/../../x", "manifest.json", ""} {
		if err := w.Add(name, func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestAbandonLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w, err := backup.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add("a", func(io.Writer) error { return errors.New("no") }); err == nil {
		t.Fatal("no error")
	}
	if _, err := backup.Open(dir); err == nil || !strings.Contains(err.Error(), "manifest.json is missing") {
		t.Error(err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
		t.Error(entries, err)
	}
}

// TestDamageIsDetected changes a byte of a file, truncates it or removes it.
func TestDamageIsDetected(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	save(t, dir)
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"streams/OBS", "files/bus/key", "manifest.json"}
		path := filepath.Join(dir, rapid.SampledFrom(names).Draw(t, "file"))
		intact, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile(path, intact, 0o600)
		at := rapid.IntRange(0, len(intact)-1).Draw(t, "at")
		damaged := append([]byte(nil), intact...)
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			damaged[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		case 1:
			damaged = damaged[:at]
		case 2:
			damaged = nil
			os.Remove(path)
		}
		if damaged != nil {
			os.WriteFile(path, damaged, 0o600)
		}
		if a, err := backup.Open(dir); err == nil {
			a.Close()
			t.Fatalf("%s with byte %d of %d damaged is accepted", path, at, len(intact))
		}
	})
}
