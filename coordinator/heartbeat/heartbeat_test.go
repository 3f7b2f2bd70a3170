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

// said keeps the last words of each change.
type said struct {
	mu    sync.Mutex
	words []string
}

func (s *said) warn(_, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.words) == 0 || s.words[len(s.words)-1] != text {
		s.words = append(s.words, text)
	}
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.words, "|")
}

func TestThePingComesWhileThereIsJudgingAndOnlyThen(t *testing.T) {
	var pings atomic.Int64
	var status atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pings.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	var judging atomic.Bool
	var asked atomic.Int64 // times that judging was asked for
	s := &said{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- heartbeat.Run(ctx, heartbeat.Config{URL: server.URL + "/secret", Every: 20 * time.Millisecond, Warn: s.warn,
			Judging: func() bool { defer asked.Add(1); return judging.Load() }})
	}()
	eventually(t, "it is asked whether there is judging", func() bool { return asked.Load() > 5 })
	if pings.Load() > 0 {
		t.Error("a ping before there was judging")
	}
	judging.Store(true)
	eventually(t, "pings", func() bool { return pings.Load() > 3 })
	judging.Store(false)
	before := asked.Load()
	eventually(t, "it goes on asking", func() bool { return asked.Load() > before+2 })
	n := pings.Load()
	eventually(t, "it goes on asking", func() bool { return asked.Load() > before+8 })
	if pings.Load() != n {
		t.Error("a stuck judge is reported as alive")
	}
	judging.Store(true)
	status.Store(http.StatusNotFound)
	eventually(t, "the failure is told", func() bool { return strings.Contains(s.all(), "404 Not Found") })
	status.Store(http.StatusNoContent)
	eventually(t, "its end is told", func() bool { return strings.HasSuffix(s.all(), "|") })
	if strings.Contains(s.all(), "secret") {
		t.Error("the address, which may be a secret, is told:", s.all())
	}
	server.Close()
	eventually(t, "an address that is gone is told", func() bool { return strings.HasSuffix(s.all(), "cannot be reached") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAWrongAddressIsRefused(t *testing.T) {
	for address, every := range map[string]time.Duration{
		"example.net": time.Minute, "ftp://example.net": time.Minute, "https://": time.Minute, "": time.Minute, "https://example.net": time.Millisecond,
	} {
		if err := heartbeat.Check(address, every); err == nil {
			t.Errorf("%q every %s is taken", address, every)
		}
	}
	if err := heartbeat.Check("https://example.net/ping", time.Minute); err != nil {
		t.Error(err)
	}
}
