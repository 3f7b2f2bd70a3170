package heartbeat_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/heartbeat"
)

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("never: " + what)
}

// warnings records each warning that differs from the one before.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (s *warnings) warn(_, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.texts) == 0 || s.texts[len(s.texts)-1] != text {
		s.texts = append(s.texts, text)
	}
}

func (s *warnings) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.texts, "|")
}

func TestPingsAreSentOnlyWhileTheCoordinatorWorks(t *testing.T) {
	var pings atomic.Int64
	var status atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pings.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	var judging atomic.Bool
	var asked atomic.Int64 // calls of Judging
	s := &warnings{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- heartbeat.Run(ctx, heartbeat.Config{URL: server.URL + "/secret", Every: 20 * time.Millisecond, Warn: s.warn,
			Judging: func() bool { defer asked.Add(1); return judging.Load() }})
	}()
	eventually(t, "Judging is called", func() bool { return asked.Load() > 5 })
	if pings.Load() > 0 {
		t.Error("a ping before the coordinator works")
	}
	judging.Store(true)
	eventually(t, "pings", func() bool { return pings.Load() > 3 })
	judging.Store(false)
	before := asked.Load()
	eventually(t, "Judging is called again", func() bool { return asked.Load() > before+2 })
	n := pings.Load()
	eventually(t, "Judging is called again", func() bool { return asked.Load() > before+8 })
	if pings.Load() != n {
		t.Error("a coordinator that is stuck sends pings")
	}
	judging.Store(true)
	status.Store(http.StatusNotFound)
	eventually(t, "a failure is reported", func() bool { return strings.Contains(s.all(), "404 Not Found") })
	status.Store(http.StatusNoContent)
	eventually(t, "the warning is cleared", func() bool { return strings.HasSuffix(s.all(), "|") })
	if strings.Contains(s.all(), "secret") {
		t.Error("a warning contains the URL, which may be a secret:", s.all())
	}
	server.Close()
	eventually(t, "a monitor that is gone is reported",
		func() bool { return strings.HasSuffix(s.all(), "cannot be reached") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAWrongURLIsRefused(t *testing.T) {
	for address, every := range map[string]time.Duration{
		"example.net": time.Minute, "ftp://example.net": time.Minute, "https://": time.Minute, "": time.Minute,
		"https://example.net": time.Millisecond,
	} {
		if err := heartbeat.Check(address, every); err == nil {
			t.Errorf("%q every %s is accepted", address, every)
		}
	}
	if err := heartbeat.Check("https://example.net/ping", time.Minute); err != nil {
		t.Error(err)
	}
}
