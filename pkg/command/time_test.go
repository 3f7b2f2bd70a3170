package command_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/command"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 2, 2, 40, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"02:31":                time.Date(2026, 3, 2, 2, 31, 0, 0, time.UTC),
		"02:41":                time.Date(2026, 3, 1, 2, 41, 0, 0, time.UTC),
		"23:59:58":             time.Date(2026, 3, 1, 23, 59, 58, 0, time.UTC),
		"10m":                  now.Add(-10 * time.Minute),
		"2026-03-01T01:00:00Z": time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC),
	} {
		if got, err := command.ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v (%v), wanted %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-10m", "25:00", "2026-03-01"} {
		if got, err := command.ParseTime(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
