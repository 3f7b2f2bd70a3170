package ratelimit_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

func TestTheClientWithTheMostSlotsLosesOne(t *testing.T) {
	p := ratelimit.NewSlots[int](4, 4)
	a, b := ratelimit.Client("192.0.2.1"), ratelimit.Client("192.0.2.2")
	for i := range 4 {
		if evicted, ok := p.Acquire(a, i, nil); !ok || evicted != nil {
			t.Fatalf("holder %d of 4 got no free slot", i)
		}
	}
	if _, ok := p.Acquire(a, 9, nil); ok {
		t.Error("a client evicted a holder of its own that is not idle")
	}
	if evicted, ok := p.Acquire(a, 9, func(h int) bool { return h == 2 }); !ok || evicted == nil || *evicted != 2 {
		t.Error("the idle holder was not evicted")
	}
	for _, want := range []int{0, 1} {
		if evicted, ok := p.Acquire(b, 10+want, nil); !ok || evicted == nil || *evicted != want {
			t.Errorf("holder %d was not evicted for another client", want)
		}
	}
	if _, ok := p.Acquire(b, 12, nil); ok {
		t.Error("each client has two slots, and one got a third")
	}
}

func TestOneClientGetsItsBoundWhileThereIsRoom(t *testing.T) {
	p := ratelimit.NewSlots[int](10, 2)
	a := ratelimit.Client("192.0.2.1")
	for i, want := range []bool{true, true, false} {
		if _, ok := p.Acquire(a, i, nil); ok != want {
			t.Errorf("holder %d: %v, want %v", i, ok, want)
		}
	}
	p.Release(a, 0)
	p.Release(a, 0) // does nothing
	if _, ok := p.Acquire(a, 3, nil); !ok || p.Used() != 2 {
		t.Error("a released slot is not free")
	}
}

// In any order of events no bound is exceeded, and a client with less than its share is never refused.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most, each = 12, 8
		p, occupied, next := ratelimit.NewSlots[int](most, each), map[string]map[int]bool{}, 0
		address := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"})
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			c := address.Draw(t, "client")
			if occupied[c] == nil {
				occupied[c] = map[int]bool{}
			}
			if rapid.Bool().Draw(t, "release") {
				for h := range occupied[c] {
					p.Release(ratelimit.Client(c), h)
					delete(occupied[c], h)
					break
				}
				continue
			}
			next++
			evicted, ok := p.Acquire(ratelimit.Client(c), next, nil)
			if !ok && len(occupied[c]) < most/4 {
				t.Fatalf("%s has %d of %d slots and was refused", c, len(occupied[c]), most)
			}
			if evicted != nil {
				for _, holders := range occupied {
					delete(holders, *evicted)
				}
			}
			if ok {
				occupied[c][next] = true
			}
			sum := 0
			for _, holders := range occupied {
				sum += len(holders)
				if len(holders) > each {
					t.Fatalf("a client has %d slots", len(holders))
				}
			}
			if sum > most || sum != p.Used() {
				t.Fatalf("%d slots are taken, counted as %d", sum, p.Used())
			}
		}
	})
}
