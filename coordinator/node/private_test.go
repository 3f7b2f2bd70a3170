//go:build unix

package node_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/node"
)

// TestTheStateIsPrivate walks everything that a coordinator leaves in its directory under a umask that forbids nothing,
// and again after somebody made the view readable, as early versions did.
func TestTheStateIsPrivate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	c := config(t)
	run := func() {
		n, err := node.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		if _, err := admin.NewClient(c.Data).State(ctx, time.Time{}); err != nil {
			t.Error(err)
		}
		if _, err := n.Invite(ctx, "NC036"); err != nil {
			t.Error(err)
		}
		wantPrivate(t, c.Data, "view.db", "view.db-wal", "view.db-shm", "lock")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	run()
	for _, name := range []string{"view.db", "view.db-wal", "view.db-shm"} {
		f, err := os.OpenFile(filepath.Join(c.Data, name), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Chmod(0o644); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	run()
}

// wantPrivate checks that only their owner can read or write the files in the directory, and that these are among them.
func wantPrivate(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the coordinator runs, and replaces files
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
