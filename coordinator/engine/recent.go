package engine

import (
	"context"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
)

const (
	// recentEvery is how old the recent latencies may be before a reader reads them itself, and recentLate how much
	// older while somebody else reads them.
	recentEvery = 20 * time.Second
	recentLate  = time.Minute
	// renewEvery is how often they are read ahead of their readers, at the least: before they expire. Where reading
	// takes less than a hundredth of it they are read more often, so that the pages of a small mesh show what was
	// observed a second ago.
	renewEvery, renewSoonest = 15 * time.Second, time.Second
	renewShare               = 100
	// firstWait is how long after a start pages wait for the first reading. A small mesh takes a few milliseconds, a
	// thousand hosts take seconds: their pages show no round-trip times meanwhile.
	firstWait = 100 * time.Millisecond
)

// recent caches the recent latencies of all checks, by the check's id, for some seconds.
type recent struct {
	read func(ctx context.Context, wall time.Time) (map[string][]latency.Recent, error)

	reading sync.Mutex // held before mu, while they are read
	mu      sync.Mutex
	all     map[string][]latency.Recent // nil: not read yet. Never changed
	expires time.Time
	first   chan struct{} // closed once run has read for the first time; nil: nothing runs
	began   time.Time     // when run began
}

func newRecent(read func(context.Context, time.Time) (map[string][]latency.Recent, error)) *recent {
	return &recent{read: read}
}

// run reads the latencies regularly until ctx ends. It ignores errors: a reader that then reads by itself gets its own.
func (r *recent) run(ctx context.Context, wall func() time.Time) {
	first := make(chan struct{})
	r.mu.Lock()
	r.first, r.began = first, time.Now()
	r.mu.Unlock()
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		_ = r.renew(ctx, wall())
		if n == 0 {
			close(first)
		}
		took := time.Since(began)
		select {
		case <-ctx.Done():
		case <-time.After(max(renewSoonest, min(renewShare*took, renewEvery)) - took):
		}
	}
}

// renew reads the latencies now.
func (r *recent) renew(ctx context.Context, wall time.Time) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	return r.readAt(ctx, wall)
}

// readAt reads the latencies. The caller holds reading.
func (r *recent) readAt(ctx context.Context, wall time.Time) error {
	began := time.Now()
	all, err := r.read(ctx, wall)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all, r.expires = all, began.Add(recentEvery)
	return nil
}

// get returns the latencies, at most recentEvery old; nil while they are read for the first time. One reader reads
// them; the others do not wait for it if the known ones are hardly older.
func (r *recent) get(ctx context.Context, wall time.Time) (map[string][]latency.Recent, error) {
	if all, ok := r.known(0); ok {
		return all, nil
	}
	if !r.awaitFirst(ctx) {
		return nil, ctx.Err()
	}
	if !r.reading.TryLock() {
		if all, ok := r.known(recentLate); ok {
			return all, nil
		}
		r.reading.Lock()
	}
	defer r.reading.Unlock()
	if all, ok := r.known(0); ok {
		return all, nil
	}
	if err := r.readAt(ctx, wall); err != nil {
		return nil, err
	}
	all, _ := r.known(recentLate)
	return all, nil
}

// awaitFirst waits shortly after a start for the first reading of run, and reports whether it is over or nothing runs.
func (r *recent) awaitFirst(ctx context.Context) bool {
	r.mu.Lock()
	first, left := r.first, firstWait-time.Since(r.began)
	r.mu.Unlock()
	if first == nil {
		return true
	}
	wait := time.NewTimer(left)
	defer wait.Stop()
	select {
	case <-first:
		return true
	case <-wait.C:
	case <-ctx.Done():
	}
	select {
	case <-first: // both, long after the start
		return true
	default:
		return false
	}
}

// known returns what was read last, unless it expired longer ago than late.
func (r *recent) known(late time.Duration) (map[string][]latency.Recent, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all, r.all != nil && time.Now().Before(r.expires.Add(late))
}
