package privatefile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/probemesh/probemesh/pkg/privatefile"
)

func TestWriteReplacesTheFileAndKeepsItPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "trust")
	path := filepath.Join(dir, "key.json")
	for _, content := range []string{"the first key", "next"} {
		// What a crash may leave behind: readable by others, and longer than what follows.
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".new", []byte("left by a crash, and longer"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := privatefile.Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v; want %q", got, err, content)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, want 0600", info.Mode().Perm())
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("the directory holds %v, %v; want one file", entries, err)
		}
	}
}

func TestWriteMakesDirectoriesPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := privatefile.Write(filepath.Join(dir, "key"), nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("directory mode %v, want 0700", info.Mode().Perm())
	}
}

// A write that fails leaves the content of before and no temporary file.
func TestFailedWriteKeepsTheOldContent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := os.MkdirAll(filepath.Join(path, "not empty"), 0o700); err != nil { // no file can replace a directory
		t.Fatal(err)
	}
	if err := privatefile.Write(path, []byte("new")); err == nil {
		t.Error("replacing a directory succeeded")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}
