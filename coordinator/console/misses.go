package console

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/latency"
)

// missKey is what one region misses of one check.
type missKey struct{ region, host, check string }

// missCount is how many observations were bad since a time, as counted at another.
type missCount struct {
	since, at time.Time
	n         uint64
}

const (
	// missFor is how long a count is shown before it is counted again.
	missFor = 15 * time.Second
	// missKept bounds the counts that are kept: they are a cache.
	missKept = 500
)

// misses counts the bad observations of a region's vantages since a time, as far back as minutes are kept.
func misses(s *console, r request, key missKey, since time.Time) (n uint64, known bool) {
	now := time.Now()
	if oldest := now.Add(-latency.Kept); since.Before(oldest) {
		since = oldest
	}
	s.missMu.Lock()
	have, ok := s.missed[key]
	s.missMu.Unlock()
	past := !r.moment.IsZero()
	if ok && !past && now.Sub(have.at) < missFor && have.since.Truncate(time.Minute).Equal(since.Truncate(time.Minute)) {
		return have.n, true
	}
	ctx, cancel := context.WithTimeout(r.Context(), gatherWait)
	defer cancel()
	minutes, err := s.config.Source.Minutes(ctx, r.catalog, latency.MinutesRequest{
		Host: key.host, Check: key.check, Vantages: r.observersIn(key.region, key.host),
		Period: latency.Period{From: since, To: r.snapshot.At},
	})
	if err != nil {
		s.config.Logger.Debug().Err(err).Msg("misses unknown")
		return 0, false
	}
	for _, m := range minutes {
		n += m.Outcomes.Unreachable
	}
	if past {
		return n, true
	}
	s.missMu.Lock()
	defer s.missMu.Unlock()
	if len(s.missed) >= missKept {
		clear(s.missed)
	}
	s.missed[key] = missCount{since, now, n}
	return n, true
}
