package command

import (
	"fmt"
	"time"
)

// ParseTime parses a time as people type it: RFC 3339, the latest hour and minute in the past (UTC), or how long ago.
// An empty text is the zero time, which means now.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		y, m, d := now.UTC().Date()
		t = time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		if t.After(now) { // "23:50", asked at 00:10, was yesterday
			t = t.AddDate(0, 0, -1)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%s: write a time as in 2026-03-01T02:31:00Z, 02:31 (UTC) or 10m (ago)", s)
}
