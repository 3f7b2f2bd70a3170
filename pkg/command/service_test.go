package command

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestASystemdServiceSaysThatItIsReadyAndThenThatItLives plays systemd: a datagram socket named in the environment.
func TestASystemdServiceSaysThatItIsReadyAndThenThatItLives(t *testing.T) {
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
	for _, at := range []time.Duration{0, 1 * time.Second, 9 * time.Second, 10 * time.Second, 11 * time.Second, 21 * time.Second} {
		w.Turn(start.Add(at))
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := heard(t, l, time.Second); got != want {
			t.Errorf("systemd hears %q, want %q", got, want)
		}
	}
	if got := heard(t, l, time.Millisecond); got != "" {
		t.Errorf("systemd hears %q besides", got)
	}
}

// TestOutsideSystemdNothingIsTold: no socket, and a loop that turns all the same.
func TestOutsideSystemdNothingIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "nonsense")
	w := NewWatchdog()
	w.Turn(time.Now())
	w.Turn(time.Now().Add(time.Hour))
}

func heard(t *testing.T, l *net.UnixConn, within time.Duration) string {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 256)
	n, _ := l.Read(data) // nothing within the time reads as nothing
	return string(data[:n])
}
