package probe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// staller sends most of a MiB to each client and then nothing, until the test ends.
func staller(t *testing.T) (url string) {
	t.Helper()
	page := []byte(strings.Repeat("0", 1<<20-1))
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(page)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// probeAll makes n probes of the page at once, and returns the number of results by reason.
func probeAll(t *testing.T, n int, url string, memory *probe.Memory, timeout time.Duration) map[string]int {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	reasons := map[string]int{}
	for range n {
		wg.Go(func() {
			target := probe.Target{
				Check: catalog.Check{Kind: catalog.KindHTTP, Timeout: timeout,
					Options: catalog.HTTP{URL: url, Body: "Webmail"}},
				Address: "127.0.0.1", Family: mesh.IPv4, Agent: "test", Memory: memory,
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience) // to connect
			defer cancel()
			r := probe.Once(ctx, probe.Kernel{}, target, func() {})
			mu.Lock()
			defer mu.Unlock()
			reasons[r.Outcome.String()+": "+r.Reason]++
		})
	}
	wg.Wait()
	return reasons
}

// Probes share the memory for responses. One that gets none in time is inconclusive: a fault of the agent, not the
// host.
func TestProbesShareMemory(t *testing.T) {
	reasons := probeAll(t, 8, staller(t), probe.NewMemory(probe.MemoryMax/64), 10*time.Second)
	hung, unasked := 0, 0
	for reason, n := range reasons {
		switch {
		case strings.HasPrefix(reason, "unreachable: hung: body not finished"):
			hung += n
		case strings.HasPrefix(reason, "inconclusive: not asked: "):
			unasked += n
		default:
			t.Errorf("%d probes: %s", n, reason)
		}
	}
	if hung != 4 || unasked != 4 {
		t.Errorf("%d hung and %d were not asked, of 8 of which 4 have memory at a time", hung, unasked)
	}
}

// As many servers as an agent may probe at once that send a MiB and stall do not take a MiB each.
func TestStallingServersTakeLittleMemory(t *testing.T) {
	url := staller(t)
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan map[string]int)
	go func() { done <- probeAll(t, probe.TargetBurst, url, probe.NewMemory(probe.MemoryMax), 10*time.Second) }()
	most := int64(0)
	for {
		select {
		case reasons := <-done:
			for reason, n := range reasons {
				if !strings.HasPrefix(reason, "unreachable: hung") {
					t.Errorf("%d probes: %s", n, reason)
				}
			}
			if allowed := int64(probe.TargetBurst * (200 << 10)); most > allowed {
				t.Errorf("%d probes took %d kB, %d are allowed", probe.TargetBurst, most>>10, allowed>>10)
			}
			return
		case <-time.After(50 * time.Millisecond):
			runtime.GC()
			runtime.ReadMemStats(&during)
			most = max(most,
				int64(during.HeapAlloc)+int64(during.StackInuse)-int64(before.HeapAlloc)-int64(before.StackInuse))
		}
	}
}
