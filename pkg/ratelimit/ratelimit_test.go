package ratelimit_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

func TestAClientIsAnIPv4AddressOrAnIPv6Slash64(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:4222": "192.0.2.7/32", "192.0.2.7": "192.0.2.7/32", "[::ffff:192.0.2.7]:80": "192.0.2.7/32",
		"[2001:db8:1:2::1]:80": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::9": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64",
		"@": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := ratelimit.Client(address).String(); got != want {
			t.Errorf("%q is the client %s, wanted %s", address, got, want)
		}
	}
}

func TestWhoHoldsTheMostMakesWay(t *testing.T) {
	p := ratelimit.New[int](4, 4)
	a, b := ratelimit.Client("192.0.2.1"), ratelimit.Client("192.0.2.2")
	for i := range 4 {
		if gone, ok := p.Take(a, i, nil); !ok || gone != nil {
			t.Fatalf("guest %d of 4 found no place", i)
		}
	}
	if _, ok := p.Take(a, 9, nil); ok {
		t.Error("a client pushed its own guest out")
	}
	if gone, ok := p.Take(a, 9, func(g int) bool { return g == 2 }); !ok || gone == nil || *gone != 2 {
		t.Error("an idle guest did not make way")
	}
	for _, want := range []int{0, 1} {
		if gone, ok := p.Take(b, 10+want, nil); !ok || gone == nil || *gone != want {
			t.Errorf("guest %d did not make way for another client's", want)
		}
	}
	if _, ok := p.Take(b, 12, nil); ok {
		t.Error("of two clients with two places each one was given a third")
	}
}

func TestOneClientHasItsBoundWhileThereIsRoom(t *testing.T) {
	p := ratelimit.New[int](10, 2)
	a := ratelimit.Client("192.0.2.1")
	for i, want := range []bool{true, true, false} {
		if _, ok := p.Take(a, i, nil); ok != want {
			t.Errorf("guest %d: %v", i, ok)
		}
	}
	p.Leave(a, 0)
	p.Leave(a, 0)
	if _, ok := p.Take(a, 3, nil); !ok || p.Taken() != 2 {
		t.Error("a place that was left is not given again")
	}
}

// Whatever comes and goes, no bound is passed, and a client with less than its share is never turned away.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most, each = 12, 8
		p, held, next := ratelimit.New[int](most, each), map[string]map[int]bool{}, 0
		address := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"})
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			c := address.Draw(t, "client")
			if held[c] == nil {
				held[c] = map[int]bool{}
			}
			if rapid.Bool().Draw(t, "leaves") {
				for g := range held[c] {
					p.Leave(ratelimit.Client(c), g)
					delete(held[c], g)
					break
				}
				continue
			}
			next++
			gone, ok := p.Take(ratelimit.Client(c), next, nil)
			if !ok && len(held[c]) < most/4 {
				t.Fatalf("%s holds %d of %d and is turned away", c, len(held[c]), most)
			}
			if gone != nil {
				for _, guests := range held {
					delete(guests, *gone)
				}
			}
			if ok {
				held[c][next] = true
			}
			sum := 0
			for _, guests := range held {
				sum += len(guests)
				if len(guests) > each {
					t.Fatalf("a client holds %d", len(guests))
				}
			}
			if sum > most || sum != p.Taken() {
				t.Fatalf("%d places are taken, it says %d", sum, p.Taken())
			}
		}
	})
}
