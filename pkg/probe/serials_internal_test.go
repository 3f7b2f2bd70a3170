package probe

import (
	"fmt"
	"testing"
	"time"
)

// step is what the servers have, minutes after the beginning.
type step struct {
	minute int
	a, b   uint32
	behind bool
}

func TestServersHaveTimeToCopyAZone(t *testing.T) {
	for name, steps := range map[string][]step{
		"a change": {{0, 1, 1, false}, {1, 2, 1, false}, {10, 2, 1, false}, {11, 2, 1, true}, {12,
			2, 2, false}},
		"after a start": {{0, 2, 1, false}, {9, 2, 1, false}, {10, 2, 1, true}},
		"changes every time": {{0, 1, 1, false}, {5, 9, 8, false}, {10, 14, 9, false}, {15, 19, 14, false},
			{20, 24, 19, false}},
		"stuck while it does": {{0, 1, 1, false}, {5, 9, 1, false}, {10, 14, 1, false}, {15, 19, 1, true}, {20,
			24, 1, true}},
		"late and moving": {{0, 1, 1, false}, {5, 9, 1, false}, {14, 14, 2, false}, {15, 19, 3, true}, {16,
			20, 9, false}},
		"round the circle": {{0, 4294967295, 4294967295, false}, {1, 3, 4294967295, false}, {11, 3,
			4294967295, true}},
		"set back": {{0, 9, 9, false}, {1, 1, 9, false}, {11, 1, 9, true}, {12, 1, 1, false}, {30,
			1, 1, false}},
	} {
		t.Run(name, func(t *testing.T) {
			s, began := NewSerials(), time.Unix(1e9, 0)
			for _, step := range steps {
				all := []serverSerial{{"a", step.a}, {"b", step.b}}
				now := began.Add(time.Duration(step.minute) * time.Minute)
				if got := s.compare("zone", all, "", 10*time.Minute, now); (got != "") != step.behind {
					t.Errorf("minute %d: %q", step.minute, got)
				}
			}
		})
	}
}

func TestAServerWithoutTheZoneHasThatTimeToo(t *testing.T) {
	s, began, all := NewSerials(), time.Unix(1e9, 0), []serverSerial{{"a", 1}}
	for _, at := range []struct {
		minute int
		want   string
	}{{0, ""}, {9, ""}, {10, "b answered REFUSED, and 1 at a"}} {
		got := s.compare("zone", all, "b answered REFUSED", 10*time.Minute,
			began.Add(time.Duration(at.minute)*time.Minute))
		if got != at.want {
			t.Errorf("minute %d: %q, want %q", at.minute, got, at.want)
		}
	}
}

func TestWhatIsRememberedOfZonesIsBounded(t *testing.T) {
	s, now := NewSerials(), time.Unix(1e9, 0)
	for i := range zonesMax + 10 {
		s.compare(fmt.Sprint(i), []serverSerial{{"a", 1}, {"b", 2}}, "", time.Hour, now)
	}
	for i := range uint32(1000) {
		s.compare("0", []serverSerial{{"a", 1}, {"b", 2 + i}}, "", time.Hour, now)
	}
	if len(s.zones) > zonesMax || len(s.zones["0"].fresh) > changesMax {
		t.Errorf("%d zones, %d changes", len(s.zones), len(s.zones["0"].fresh))
	}
}
