//go:build linux

package node_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// fillDisk writes the file until the disk has no space left.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// get returns the status and the body at the URL; 0 while nobody listens.
func get(url string) (status int, body string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	data, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(data)
}

// TestAStartOnAFullDisk starts a coordinator on a full disk: first it works from the reserve of the run before. Without
// one, the page shows the history and nothing as up, until there is space.
func TestAStartOnAFullDisk(t *testing.T) {
	c := config(t)
	disk := c.Data
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		testenv.SkipOrFail(t, "root, to mount a small disk: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	c.Data = filepath.Join(disk, "d")
	c.Listen = testenv.FreeAddress(t)

	reopen(t, c)
	reserve := filepath.Join(c.Data, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, filepath.Join(disk, "filler"))
	reopen(t, c)
	if _, err := os.Stat(reserve); err == nil {
		t.Error("the start did not release the reserve")
	}

	fillDisk(t, filepath.Join(disk, "more"))
	if n, err := node.Open(t.Context(), c); err == nil {
		n.Close()
		t.Fatal("it starts without space")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		n   *node.Node
		err error
	}
	opened := make(chan result, 1)
	go func() {
		n, err := node.OpenWhenRoom(ctx, c)
		opened <- result{n, err}
	}()
	status, page := 0, ""
	for deadline := time.Now().Add(2 * time.Minute); status == 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
		status, page = get("http://" + c.Listen + "/")
	}
	if status != http.StatusOK || !strings.Contains(page, "may be out of date") || strings.Contains(page, "operational") {
		t.Errorf("status %d:\n%s", status, page)
	}
	if status, _ := get("http://" + c.Listen + "/readyz"); status != http.StatusServiceUnavailable {
		t.Error("agents cannot connect, and /readyz answers", status)
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-opened:
		if r.err != nil {
			t.Fatal(r.err)
		}
		r.n.Close()
	case <-time.After(2 * time.Minute):
		t.Fatal("it did not start once there was space")
	}
}
