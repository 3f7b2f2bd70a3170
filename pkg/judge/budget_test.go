package judge

import (
	"testing"
	"time"
)

// An edge that requests rounds in vain waits longer each time, up to a limit, until a calm time passes.
func TestBackoffGrowsAndIsForgotten(t *testing.T) {
	var b backoff
	now := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	last := time.Duration(0)
	for n := range 200 {
		for !b.ready(now) {
			now = now.Add(time.Second)
		}
		b.fail(now)
		wait := b.until.Sub(now)
		if wait < last || wait < aloneFirst || wait > aloneMost || n > doublings && wait != aloneMost {
			t.Fatalf("after %d failures it waits %v, and before %v", n+1, wait, last)
		}
		last = wait
	}
	if !b.ready(now.Add(2*aloneMost)) || b.failures != 0 {
		t.Errorf("%d failures are not forgotten after a calm time", b.failures)
	}
}

// An account is full at first, earns at its rate, and never has more than its depth.
func TestAccountRefills(t *testing.T) {
	var a account
	now := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		after time.Duration
		spend float64
		want  float64
	}{
		{0, 0, 60}, {time.Second, 0, 60}, {time.Second, 80, 60}, {10 * time.Second, 0, -10}, {30 * time.Second, 0,
			20}, {time.Hour, 0, 60},
	} {
		now = now.Add(c.after)
		if a.refill(now, 1, 60); a.balance != c.want {
			t.Fatalf("after %v more it holds %v, want %v", c.after, a.balance, c.want)
		}
		a.balance -= c.spend
	}
}
