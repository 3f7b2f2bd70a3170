package web

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// rates bound how often each client may ask: one token bucket each. They do what ratelimit.Rates does, for a path that
// every request of every client takes at once: a client that is known is counted without a lock.
type rates struct {
	began          time.Time
	interval, room time.Duration // in which one request becomes free, and all of a full bucket
	buckets        sync.Map      // of *bucket by netip.Prefix
	count          atomic.Int32
	evicting       sync.Mutex
}

// bucket is when the bucket of a client will be full again, as a duration since began. Each request takes one interval
// from it.
type bucket struct{ full atomic.Int64 }

func newRates(perSecond, burst int) *rates {
	interval := time.Second / time.Duration(perSecond)
	return &rates{began: time.Now(), interval: interval, room: interval * time.Duration(burst)}
}

// allow reports whether a request of the client is within its rate now, and counts it if so.
func (r *rates) allow(client netip.Prefix) bool {
	b, now := r.bucket(client), time.Since(r.began)
	for {
		full := b.full.Load()
		next := max(time.Duration(full), now) + r.interval
		if next > now+r.room {
			return false
		}
		if b.full.CompareAndSwap(full, int64(next)) {
			return true
		}
	}
}

func (r *rates) bucket(client netip.Prefix) *bucket {
	if b, ok := r.buckets.Load(client); ok {
		return b.(*bucket)
	}
	if r.count.Load() >= clientsMax {
		r.evict()
	}
	b, loaded := r.buckets.LoadOrStore(client, &bucket{})
	if !loaded {
		r.count.Add(1)
	}
	return b.(*bucket)
}

// evict removes the clients whose buckets are full, which are as good as new. If more than half of them remain it
// removes any of them down to half: in a flood from ever new addresses, each newcomer would otherwise walk the whole
// map.
func (r *rates) evict() {
	r.evicting.Lock()
	defer r.evicting.Unlock()
	if r.count.Load() < clientsMax {
		return // another newcomer made room
	}
	now := time.Since(r.began)
	r.remove(func(b *bucket) bool { return time.Duration(b.full.Load()) <= now })
	r.remove(func(*bucket) bool { return r.count.Load() > clientsMax/2 })
}

func (r *rates) remove(unwanted func(*bucket) bool) {
	r.buckets.Range(func(client, b any) bool {
		if unwanted(b.(*bucket)) && r.buckets.CompareAndDelete(client, b) {
			r.count.Add(-1)
		}
		return true
	})
}
