package command

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestWatchdogReportsReadyThenAlive plays systemd: a datagram socket named in the environment.
func TestWatchdogReportsReadyThenAlive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	start := time.Now()
	w := NewWatchdog()
	for _, second := range []time.Duration{0, 1, 9, 10, 11, 21} {
		w.Alive(start.Add(second * time.Second))
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := receive(t, l, time.Second); got != want {
			t.Errorf("systemd received %q, want %q", got, want)
		}
	}
	if got := receive(t, l, time.Millisecond); got != "" {
		t.Errorf("systemd also received %q", got)
	}
}

// TestWatchdogOutsideSystemd has no socket and a variable that is not a number.
func TestWatchdogOutsideSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "nonsense")
	w := NewWatchdog()
	w.Alive(time.Now())
	w.Alive(time.Now().Add(time.Hour))
}

func receive(t *testing.T, l *net.UnixConn, within time.Duration) string {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 256)
	n, _ := l.Read(data)
	return string(data[:n])
}
