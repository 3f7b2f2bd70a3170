package ratelimit

import (
	"time"

	"golang.org/x/time/rate"
)

// Rates limit how often each key, as a client, may ask: one token bucket a key. They are not safe for concurrent use.
type Rates[K comparable] struct {
	perSecond  rate.Limit
	burst, max int
	buckets    map[K]*rate.Limiter
}

// NewRates allows each key perSecond requests a second and burst at once. It remembers at most max keys.
func NewRates[K comparable](perSecond rate.Limit, burst, max int) *Rates[K] {
	return &Rates[K]{perSecond, burst, max, map[K]*rate.Limiter{}}
}

// Allow reports whether a request of the key is within its rate now, and counts it if so.
func (r *Rates[K]) Allow(now time.Time, key K) bool {
	b := r.buckets[key]
	if b == nil {
		if len(r.buckets) >= r.max {
			r.evict(now)
		}
		b = rate.NewLimiter(r.perSecond, r.burst)
		r.buckets[key] = b
	}
	return b.AllowN(now, 1)
}

// evict removes the keys whose buckets are full again, which are as good as new. If more than half of the keys remain
// it removes any of them down to half: in a flood from ever new addresses, each newcomer would otherwise walk the
// whole map.
func (r *Rates[K]) evict(now time.Time) {
	for key, b := range r.buckets {
		if b.TokensAt(now) >= float64(r.burst) {
			delete(r.buckets, key)
		}
	}
	for key := range r.buckets {
		if len(r.buckets) <= r.max/2 {
			return
		}
		delete(r.buckets, key)
	}
}
