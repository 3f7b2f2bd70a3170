package notify

import (
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// quietEnd returns when a message that is due at a time may be sent: then, or at the end of the quiet hours that it is
// now.
func quietEnd(q *catalog.Quiet, at, now time.Time, severity catalog.Severity) time.Time {
	if q == nil || q.Unless != "" && severity.AtLeast(q.Unless) {
		return at
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		zone = time.UTC // the catalog was checked where the zone was known
	}
	if at.Before(now) {
		at = now
	}
	from, errFrom := time.Parse(catalog.QuietLayout, q.From)
	to, errTo := time.Parse(catalog.QuietLayout, q.To)
	if errFrom != nil || errTo != nil {
		return at
	}
	// The quiet hours that began yesterday may still last.
	local := at.In(zone)
	for days := -1; days <= 0; days++ {
		begin := onDay(local, days, from)
		end := onDay(local, days, to)
		if !end.After(begin) {
			end = onDay(local, days+1, to)
		}
		if !at.Before(begin) && at.Before(end) {
			return end
		}
	}
	return at
}

// onDay returns a time of the day, some days from that of the time.
func onDay(t time.Time, days int, clock time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, clock.Hour(), clock.Minute(), 0, 0, t.Location())
}
