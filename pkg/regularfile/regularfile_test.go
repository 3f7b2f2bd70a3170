package regularfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/probemesh/probemesh/pkg/regularfile"
)

// What is not a regular file of a bounded size would block its reader, or take all its memory.
func TestOnlyBoundedRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	pipe, large, plain := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "plain")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, []byte("hosts: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1001); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		pipe: "not a regular file", dir: "not a regular file", "/dev/zero": "not a regular file", large: "more than",
		filepath.Join(dir, "none"): "no such file",
	} {
		if _, _, err := regularfile.Read(name, 1000); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if text, info, err := regularfile.Read(plain, 1000); err != nil || string(text) != "hosts: []\n" || info == nil {
		t.Errorf("%q, %v, %v", text, info, err)
	}
}

func TestOpenDoesNotWaitForTheWriterOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := regularfile.Open(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}
