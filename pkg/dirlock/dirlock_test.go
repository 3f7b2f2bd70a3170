package dirlock_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/dirlock"
)

// TestMain is also the process that holds a lock until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DIRLOCK_HOLD"); dir != "" {
		_, err := dirlock.Acquire(dir)
		fmt.Println("acquired:", err)
		select {}
	}
	os.Exit(m.Run())
}

func TestOneHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	l, err := dirlock.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	var inUse *dirlock.InUseError
	if _, err := dirlock.Acquire(dir); !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.Dir != dir {
		t.Errorf("the second gets %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = dirlock.Acquire(dir); err != nil {
		t.Fatal("after the release:", err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Error("left:", entries, err)
	}
}

// A version that writes no process id, or a damaged file, must not be taken for a free directory.
func TestTextThatIsNoProcessID(t *testing.T) {
	dir := t.TempDir()
	l, err := dirlock.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	for _, text := range []string{"", "no number", "-7", strings.Repeat("1", 100)} {
		if err := os.WriteFile(filepath.Join(dir, dirlock.FileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dirlock.Acquire(dir); err == nil || err.Error() != dir+" is in use by another process" {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

func TestKilledProcessReleasesItsLock(t *testing.T) {
	dir := t.TempDir()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), "DIRLOCK_HOLD="+dir)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "acquired: <nil>\n" {
		t.Error(line, err)
	}
	want := fmt.Sprintf("%s is in use by process %d", dir, holder.Process.Pid)
	if _, err := dirlock.Acquire(dir); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	l, err := dirlock.Acquire(dir) // a process has closed its files before it can be waited for
	if err != nil {
		t.Fatal("after kill -9:", err)
	}
	_ = l.Release()
}
