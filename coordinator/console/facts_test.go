package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/latency"
)

func TestSizesHaveThreeDigits(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 47: "47 B", 1034: "1.01 KiB", 1010 << 10: "0.986 MiB", 252 << 30: "252 GiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}

// stalled is a source whose NATS does not answer, and which says when it has counted the losses.
type stalled struct {
	largeMesh
	asked   *atomic.Int32
	counted *time.Time
}

func (s stalled) Health(ctx context.Context) (health.Report, error) {
	s.asked.Add(1)
	<-ctx.Done()
	return health.Report{}, ctx.Err()
}

func (s stalled) Losses(context.Context, time.Time, time.Time) ([]latency.VantageLoss, error) {
	time.Sleep(time.Millisecond)
	*s.counted = time.Now()
	return nil, nil
}

// What takes long is asked once for all readers who wait for it, also where that takes longer than the answer is shown.
func TestReadersWaitTogether(t *testing.T) {
	m := stalled{newLargeMesh(10), new(atomic.Int32), new(time.Time)}
	s := &console{config: Config{Source: m, Logger: zerolog.Nop()}}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() { s.coordinatorFacts() })
	}
	if readers.Wait(); m.asked.Load() > 2 { // one may begin late, on a busy machine
		t.Errorf("NATS was asked %d times", m.asked.Load())
	}
	r := request{Request: httptest.NewRequest(http.MethodGet, "/", nil), catalog: m.catalog, snapshot: m.snapshot}
	if presentLosses(s, r); s.lossAt.Before(*m.counted) {
		t.Error("losses are old before they are counted")
	}
}
