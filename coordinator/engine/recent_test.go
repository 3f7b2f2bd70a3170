package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
)

// slowRecent takes long to read, as a thousand hosts do, or fails at once. Each answer says when it was read.
func slowRecent(takes time.Duration, failing *atomic.Bool) *recent {
	return newRecent(func(ctx context.Context, wall time.Time) (map[string][]latency.Recent, error) {
		began := time.Now()
		if failing.Load() {
			return nil, errors.New("damaged")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(takes):
		}
		return map[string][]latency.Recent{"ping": {{Latest: latency.Latest{At: began}}}}, nil
	})
}

// ask returns how old the answer is, how long it took, and whether there is one.
func ask(t *testing.T, r *recent) (age, took time.Duration, known bool, err error) {
	t.Helper()
	began := time.Now()
	all, err := r.get(t.Context(), began)
	if took = time.Since(began); len(all) > 0 {
		age, known = time.Since(all["ping"][0].Latest.At), true
	}
	return age, took, known, err
}

// No reader waits while the recent latencies are read, neither at the start nor later; what each gets is some seconds
// old.
func TestReadersDoNotWaitForRecentLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 4 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var failing atomic.Bool
		r := slowRecent(takes, &failing)
		go r.run(ctx, time.Now)
		began := time.Now()
		synctest.Wait()
		if _, took, known, err := ask(t, r); known || took != firstWait || err != nil {
			t.Errorf("the first reader waited %v: known %v (%v)", took, known, err)
		}
		for ; time.Since(began) < 5*time.Minute; time.Sleep(700 * time.Millisecond) {
			age, took, known, err := ask(t, r)
			since := time.Since(began)
			if took != 0 || err != nil || known != (since > takes) || age > renewEvery+2*takes {
				t.Fatalf("%v after the start: %v old, waited %v, known %v (%v)", since, age, took, known, err)
			}
		}
		failing.Store(true)
		time.Sleep(recentEvery + recentLate)
		if _, _, _, err := ask(t, r); err == nil {
			t.Error("nobody sees that reading fails")
		}
	})
}

// Where nothing reads ahead, one reader reads for all.
func TestReadersReadRecentLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		r := slowRecent(time.Second, &failing)
		for _, want := range []time.Duration{time.Second, 0, time.Second} {
			if _, took, known, err := ask(t, r); took != want || !known || err != nil {
				t.Errorf("waited %v, not %v: known %v (%v)", took, want, known, err)
			}
			time.Sleep(recentEvery / 2)
		}
	})
}

// In a small mesh pages show what was observed a second ago: the first ones after a start would otherwise show for
// long that nothing was.
func TestRecentLatenciesOfASmallMeshAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var failing atomic.Bool
		r := slowRecent(time.Millisecond, &failing)
		go r.run(ctx, time.Now)
		for range 20 {
			time.Sleep(1700 * time.Millisecond)
			if age, took, known, err := ask(t, r); !known || took != 0 || age > renewSoonest+time.Millisecond || err != nil {
				t.Errorf("%v old, waited %v, known %v (%v)", age, took, known, err)
			}
		}
	})
}
