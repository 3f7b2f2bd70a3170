package ratelimit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

func TestEachIsHeldToItsOwnRate(t *testing.T) {
	r, now := ratelimit.NewRates[string](10, 3, 100), time.Unix(1e9, 0)
	for i, want := range []bool{true, true, true, false} {
		if got := r.Allow(now, "a"); got != want {
			t.Errorf("request %d of one: %v", i, got)
		}
	}
	if !r.Allow(now, "b") {
		t.Error("another is refused for it")
	}
	now = now.Add(100 * time.Millisecond)
	if !r.Allow(now, "a") || r.Allow(now, "a") {
		t.Error("a tenth of a second is not one more request")
	}
}

// However many ask: nobody is refused the first request, and one who asks without end gets no more than a burst and the rate, as
// long as there is room to remember.
func TestRatesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most, perSecond, atOnce = 8, 5, 4
		r, begun := ratelimit.NewRates[int](perSecond, atOnce, most), time.Unix(1e9, 0)
		now, allowed, newcomer := begun, 0, 100
		others := rapid.IntRange(0, most-1).Draw(t, "others")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond)
			r.Allow(now, rapid.IntRange(1, most-1).Draw(t, "other")%(others+1)+1)
			if r.Allow(now, 0) {
				allowed++
			}
		}
		if most := atOnce + int(perSecond*now.Sub(begun).Seconds()) + 1; allowed > most {
			t.Fatalf("%d requests are allowed in %v, wanted %d at most", allowed, now.Sub(begun), most)
		}
		for range 3 * most {
			newcomer++
			if !r.Allow(now, newcomer) {
				t.Fatal("one who asks first is refused")
			}
		}
	})
}
