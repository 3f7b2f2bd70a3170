package latency

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// RecentHours is how many hours Recent has.
const RecentHours = int(Kept / time.Hour)

// Recent is what a page shows of a check as the vantages of a region see it.
type Recent struct {
	Region string
	Latest Latest // zero without an answer in the last two days
	// Now is what was observed in this hour and the one before.
	Now rollup.Summary
	// Day is what was observed in the last 24 hours.
	Day rollup.Digest
	// Hours are the last 48, the present one last. An hour without observations is zero.
	Hours [RecentHours]rollup.Digest
}

// Recent returns what pages show of all checks at a time of the wall clock: by the check's id, sorted by region.
func (s *Store) Recent(ctx context.Context, wall time.Time) (map[string][]Recent, error) {
	last := rollup.HourOf(wall)
	first := last - int64(RecentHours) + 1
	found := map[series]*[RecentHours]rollup.Summary{}
	add := func(k rollup.Key, part rollup.Summary) {
		if k.Hour < first || k.Hour > last {
			return
		}
		hours := found[series{k.Check, k.Region}]
		if hours == nil {
			hours = &[RecentHours]rollup.Summary{}
			found[series{k.Check, k.Region}] = hours
		}
		hours[k.Hour-first].Merge(part)
	}
	rows, more, latest, err := s.beginRecent(ctx, first, add)
	if err != nil {
		return nil, fmt.Errorf("read the recent latencies: %w", err)
	}
	defer rows.Close()
	for ; more; more = rows.Next() {
		var k rollup.Key
		var data []byte
		if err := rows.Scan(&k.Check, &k.Region, &k.Hour, &data); err != nil {
			return nil, fmt.Errorf("read the recent latencies: %w", err)
		}
		part, _, err := rollup.DecodeSummary(data)
		if err != nil {
			return nil, fmt.Errorf("read the recent latencies: %w", err)
		}
		add(k, part)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the recent latencies: %w", err)
	}
	out := map[string][]Recent{}
	for of, hours := range found {
		out[of.check] = append(out[of.check], newRecent(of.region, latest[of], hours))
	}
	for _, regions := range out {
		slices.SortFunc(regions, func(a, b Recent) int { return cmp.Compare(a.Region, b.Region) })
	}
	return out, nil
}

// beginRecent adds what is not in the file, and begins to read the hours that are since one; more says that there is a
// row. The rows are those of now: with the first one read, SQLite shows no later change, so that the follower of the
// stream need not wait for the seconds that a million rows take.
func (s *Store) beginRecent(ctx context.Context, first int64, add func(rollup.Key, rollup.Summary)) (
	rows *sql.Rows, more bool, latest map[series]Latest, err error,
) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows, err = s.db.QueryContext(ctx, `SELECT check_id, region, hour, data FROM hours WHERE hour >= ?`, first)
	if err != nil {
		return nil, false, nil, err
	}
	s.hours("", add)
	return rows, rows.Next(), maps.Clone(s.latest), nil
}

func newRecent(region string, latest Latest, hours *[RecentHours]rollup.Summary) Recent {
	r := Recent{Region: region, Latest: latest}
	var day rollup.Summary
	for i := range hours {
		r.Hours[i] = hours[i].Digest()
		if i >= RecentHours-hoursOfDay {
			day.Merge(hours[i])
		}
		if i >= RecentHours-2 {
			r.Now.Merge(hours[i])
		}
	}
	r.Day = day.Digest()
	return r
}
