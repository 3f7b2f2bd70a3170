package ratelimit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

func TestEachKeyHasItsOwnRate(t *testing.T) {
	r, now := ratelimit.NewRates[string](10, 3, 100), time.Unix(1e9, 0)
	for i, want := range []bool{true, true, true, false} {
		if got := r.Allow(now, "a"); got != want {
			t.Errorf("request %d: %v", i, got)
		}
	}
	if !r.Allow(now, "b") {
		t.Error("another key was refused too")
	}
	now = now.Add(100 * time.Millisecond)
	if !r.Allow(now, "a") || r.Allow(now, "a") {
		t.Error("a tenth of a second did not allow exactly one more request")
	}
}

// However many keys there are, none is refused its first request. A key that never stops asking gets its burst and
// its rate, as long as it is remembered.
func TestRatesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most, perSecond, burst = 8, 5, 4
		r, begun := ratelimit.NewRates[int](perSecond, burst, most), time.Unix(1e9, 0)
		now, allowed, newcomer := begun, 0, 100
		others := rapid.IntRange(0, most-1).Draw(t, "others")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond)
			r.Allow(now, rapid.IntRange(1, most-1).Draw(t, "other")%(others+1)+1)
			if r.Allow(now, 0) {
				allowed++
			}
		}
		if most := burst + int(perSecond*now.Sub(begun).Seconds()) + 1; allowed > most {
			t.Fatalf("%d requests were allowed in %v, want %d at most", allowed, now.Sub(begun), most)
		}
		for range 3 * most {
			newcomer++
			if !r.Allow(now, newcomer) {
				t.Fatal("the first request of a key was refused")
			}
		}
	})
}
