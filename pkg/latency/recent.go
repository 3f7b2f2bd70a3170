package latency

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

const (
	// RecentHours is how many hours Recent has.
	RecentHours = int(Kept / time.Hour)
	// fillingHours are the present hour and the one before: most observations belong to them.
	fillingHours = 2
	pastHours    = RecentHours - fillingHours
)

// Recent is what a page shows of a check as the vantages of a region see it.
type Recent struct {
	Region string
	Latest Latest // zero without an answer in the last two days
	// Now is what was observed in this hour and the one before.
	Now rollup.Summary
	// Day is what was observed in the last 24 hours.
	Day   rollup.Digest
	Hours Hours
}

// Hours are the last 48 hours, the present one last. An hour without observations is zero. Copies share what they have
// of the past.
type Hours struct {
	past    *[pastHours]rollup.Digest // never changed; nil: nothing was observed
	filling [fillingHours]rollup.Digest
}

// At returns an hour by its place: RecentHours-1 is the present one.
func (h *Hours) At(place int) rollup.Digest {
	switch {
	case place >= pastHours:
		return h.filling[place-pastHours]
	case h.past == nil:
		return rollup.Digest{}
	}
	return h.past[place]
}

// All returns all hours by their places.
func (h *Hours) All() iter.Seq2[int, rollup.Digest] {
	return func(yield func(int, rollup.Digest) bool) {
		for place := range RecentHours {
			if !yield(place, h.At(place)) {
				return
			}
		}
	}
}

// Map returns the hours that fn makes of these.
func (h *Hours) Map(fn func(place int, d rollup.Digest) rollup.Digest) Hours {
	out := Hours{past: new([pastHours]rollup.Digest)}
	for place, d := range h.All() {
		if d = fn(place, d); place < pastHours {
			out.past[place] = d
		} else {
			out.filling[place-pastHours] = d
		}
	}
	return out
}

// Recent returns what pages show of all checks at a time of the wall clock: by the check's id, sorted by region. The
// first call reads the hours from the file, which takes seconds where there are many checks. Later ones do not read it.
func (s *Store) Recent(ctx context.Context, wall time.Time) (map[string][]Recent, error) {
	s.recent.reading.Lock()
	defer s.recent.reading.Unlock()
	last := rollup.HourOf(wall)
	parts, latest, err := s.recentHours(ctx, last)
	if err != nil {
		return nil, fmt.Errorf("read the recent latencies: %w", err)
	}
	for of := range parts {
		s.recent.hours(of) // those of which the file has nothing, too
	}
	out := make(map[string][]Recent, len(s.recent.checks))
	for check, all := range s.recent.checks {
		regions := make([]Recent, 0, len(all))
		for _, h := range all {
			of := series{check, h.region}
			if some := parts[of]; len(h.data) > 0 || len(some) > 0 {
				regions = append(regions, h.recent(latest[of], some))
			}
		}
		if len(regions) > 0 {
			out[check] = regions
		}
	}
	return out, nil
}

// part is what is not in the file of an hour of a series.
type part struct {
	place int // of the hour
	rollup.Summary
}

// recentHours brings the stored hours to the last one, and returns what is not in the file, as of the same moment.
func (s *Store) recentHours(ctx context.Context, last int64) (map[series][]part, map[series]Latest, error) {
	r := &s.recent
	s.mu.RLock()
	parts, latest, changes := s.parts(last), maps.Clone(s.latest), r.takeChanges(last-int64(RecentHours)+1)
	if r.checks != nil && changes != nil && last >= r.last {
		s.mu.RUnlock()
		r.advance(last)
		for k, whole := range changes {
			r.replace(k, whole)
		}
		return parts, latest, nil
	}
	// The rows are those of now: with the first one read, SQLite shows no later change, so that the follower of the
	// stream need not wait for the seconds that a million rows take.
	r.checks = nil
	rows, err := s.db.QueryContext(ctx, `SELECT check_id, region, hour, data FROM hours WHERE hour > ?
		ORDER BY check_id, region, hour`, last-int64(RecentHours))
	if err != nil {
		s.mu.RUnlock()
		return nil, nil, err
	}
	defer rows.Close()
	more := rows.Next()
	s.mu.RUnlock()
	return parts, latest, r.load(last, rows, more)
}

// parts returns what is not in the file of the hours up to the last one. The caller holds mu.
func (t *Tail) parts(last int64) map[series][]part {
	out := map[series][]part{}
	first := last - int64(RecentHours) + 1
	t.hours("", func(k rollup.Key, s rollup.Summary) {
		if k.Hour < first || k.Hour > last {
			return
		}
		of, place := series{k.Check, k.Region}, int(k.Hour-first)
		all := out[of]
		n := slices.IndexFunc(all, func(p part) bool { return p.place == place })
		if n < 0 {
			n, all = len(all), append(all, part{place: place})
		}
		all[n].Merge(s)
		out[of] = all
	})
	return out
}
