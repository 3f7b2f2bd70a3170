package quota_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/quota"
)

// newCatalog returns a catalog with this many hosts, each in a region of its own, and this many checks of each.
func newCatalog(t interface{ Fatal(...any) }, hosts, checks int, interval string) *catalog.Catalog {
	var b strings.Builder
	fmt.Fprintf(&b, "defaults: {interval: %s, timeout: 1s}\nregions:\n", interval)
	for n := range hosts {
		fmt.Fprintf(&b, "  - {name: r%d}\n", n)
	}
	b.WriteString("hosts:\n")
	for n := range hosts {
		fmt.Fprintf(&b, "  - {name: NC%d, region: r%d, address: 192.0.2.%d, checks: [{kind: ping}", n, n, n+1)
		for k := range checks - 1 {
			fmt.Fprintf(&b, ", {kind: tcp, port: %d}", 1000+k)
		}
		b.WriteString("]}\n")
	}
	c, err := catalogfile.Parse("test.yaml", []byte(b.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An agent that works uses less than half of its budget. With any catalog that OBS has room for, two agents can use
// their whole budgets while the others lose nothing.
func TestBudgetsFitTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts, checks := rapid.IntRange(1, 20).Draw(t, "hosts"), rapid.IntRange(1, 8).Draw(t, "checks")
		c := newCatalog(t, hosts, checks, rapid.SampledFrom([]string{"2s", "10s", "60s", "1h"}).Draw(t, "interval"))
		p := quota.Compute(c)
		sum, largest := int64(0), int64(0)
		for key, n := range p.Agents {
			if n.Expected > quota.Retained(n.Budget) {
				t.Fatalf("%s: %d bytes are expected, too much for half of the budget %d", key, n.Expected, n.Budget)
			}
			if n.Budget <= p.Unlisted && hosts > 1 {
				t.Fatalf("%s: its checks add nothing to its budget %d", key, n.Budget)
			}
			sum, largest = sum+n.Expected, max(largest, n.Budget)
		}
		if p.Size < quota.StreamMin || p.Size < sum+2*largest {
			t.Fatalf("OBS has %d bytes for %d and two budgets of %d", p.Size, sum, largest)
		}
		if len(p.Agents) != hosts || p.Size <= quota.StreamMax && p.Reach(p.Size) < quota.Window {
			t.Fatalf("%d agents; OBS of %d bytes reaches back %s", len(p.Agents), p.Size, p.Reach(p.Size))
		}
	})
}

// A tally is compared with a list of all messages. It may count up to an hour more.
func TestATallyCountsWhatWasPublishedInTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type message struct {
			at    time.Time
			bytes int64
		}
		tally, sent := quota.NewTally(), []message(nil)
		at := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 200).Draw(t, "messages") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "pause")))
			m := message{at, rapid.Int64Range(1, 1<<20).Draw(t, "bytes")}
			tally.Add(m.at, "nc1", m.bytes)
			sent = append(sent, m)
			var least, most int64
			for _, s := range sent {
				if age := at.Sub(s.at); age < quota.Window {
					least, most = least+s.bytes, most+s.bytes
				} else if age < quota.Window+time.Hour {
					most += s.bytes
				}
			}
			if used := tally.Used("nc1"); used < least || used > most {
				t.Fatalf("used %d, published %d to %d", used, least, most)
			}
		}
		to := rapid.Int64Range(0, 1<<24).Draw(t, "to")
		before := tally.Used("nc1")
		if tally.Trim("nc1", to); tally.Used("nc1") != min(before, to) {
			t.Fatalf("%d bytes are used after a trim to %d", tally.Used("nc1"), to)
		}
	})
}

func TestEachTermIsTwiceTheOneBefore(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	w := quota.Withdraw(quota.Withdrawal{}, "key", now, 2, 1)
	for i, hours := range []time.Duration{1, 2, 4, 8, 16, 32, 48, 48} {
		if got := w.Until.Sub(w.Since); got != hours*time.Hour || w.Times != i+1 {
			t.Errorf("withdrawal %d lasts %s, want %d h", w.Times, got, hours)
		}
		w = quota.Withdraw(w, "key", w.Until.Add(time.Minute), 2, 1)
	}
	if again := quota.Withdraw(w, "another", w.Until, 2, 1); again.Times != 1 {
		t.Errorf("another key's first withdrawal is number %d", again.Times)
	}
	if again := quota.Withdraw(w, "key", w.Until.Add(30*24*time.Hour), 2, 1); again.Times != 1 {
		t.Errorf("a month later the withdrawal is number %d, want 1", again.Times)
	}
}

// TestSizes prints the sizes of ordinary meshes: go test ./pkg/quota -run Sizes -v
func TestSizes(t *testing.T) {
	for _, hosts := range []int{10, 30, 60, 100} {
		p := quota.Compute(newCatalog(t, hosts, 3, "10s"))
		n := p.Agents["nc0"]
		reach := p.Reach(min(p.Size, quota.StreamMax)).Round(time.Hour)
		t.Logf("%3d hosts, 3 checks, 10 s: expected %d MB an agent, budget %d MB, OBS needs %d MB; it reaches back %s",
			hosts, n.Expected>>20, n.Budget>>20, p.Size>>20, reach)
	}
}
