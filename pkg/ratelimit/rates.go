package ratelimit

import (
	"time"

	"golang.org/x/time/rate"
)

// Rates hold each who asks to so many times a second, and so many times at once. They are not safe for concurrent use.
type Rates[K comparable] struct {
	perSecond    rate.Limit
	atOnce, most int
	buckets      map[K]*rate.Limiter
}

// NewRates remembers at most so many who ask.
func NewRates[K comparable](perSecond rate.Limit, atOnce, most int) *Rates[K] {
	return &Rates[K]{perSecond, atOnce, most, map[K]*rate.Limiter{}}
}

// Allow reports whether one may ask, now.
func (r *Rates[K]) Allow(now time.Time, who K) bool {
	b := r.buckets[who]
	if b == nil {
		if len(r.buckets) >= r.most {
			r.forget(now)
		}
		b = rate.NewLimiter(r.perSecond, r.atOnce)
		r.buckets[who] = b
	}
	return b.AllowN(now, 1)
}

// forget makes room: who has not asked for so long that the bucket is full again is as one who never did. Where that is nobody,
// any half goes, so that a flood from ever new addresses does not have each newcomer look through all of them.
func (r *Rates[K]) forget(now time.Time) {
	for who, b := range r.buckets {
		if b.TokensAt(now) >= float64(r.atOnce) {
			delete(r.buckets, who)
		}
	}
	for who := range r.buckets {
		if len(r.buckets) <= r.most/2 {
			return
		}
		delete(r.buckets, who)
	}
}
