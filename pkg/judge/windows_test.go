package judge_test

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// voters are the regions that vote on AMS1 in these histories.
var voters = []string{"lon", "van", "nyc", "tor", "lus", "syd", "sea"}

// period is a stretch of a history in which the same regions cannot reach AMS1.
type period struct {
	from   time.Duration
	lost   uint // bit n: voters[n] cannot reach it
	reason string
}

func (p period) regions() (out []string) {
	for i, region := range voters {
		if p.lost&(1<<i) != 0 {
			out = append(out, region)
		}
	}
	return out
}

func (p period) String() string { return fmt.Sprintf("%v: %v %s", p.from, p.regions(), p.reason) }

// change is a verdict and when it began.
type change struct {
	verdict mesh.Verdict
	began   time.Duration
}

// truth returns the verdict in a period by rule 5, given which regions reach the host; before is the
// verdict of the period before, which leaves down only when half of the regions reach the host again (rule 7).
func truth(p period, before mesh.Verdict) mesh.Verdict {
	bad := bits.OnesCount(p.lost)
	ok := len(voters) - bad
	switch {
	case bad >= 5 && ok <= 1, before == mesh.Down && 2*ok < len(voters):
		return mesh.Down
	case bad >= 2:
		return mesh.Partial
	}
	return mesh.Up
}

// oracle returns the changes that a judge which knew the truth would publish.
func oracle(history []period) []change {
	out := []change{{verdict: mesh.Up}}
	for _, p := range history {
		before := out[len(out)-1].verdict
		if v := truth(p, before); v != before {
			out = append(out, change{v, p.from})
		}
	}
	return out[1:]
}

// drawHistory draws periods that are long enough to be published, and ends with one in which everything works. The
// number of regions that lose the host is one of sizes.
func drawHistory(t *rapid.T, regions int, sizes []int) []period {
	var out []period
	at := 30 * time.Second
	lost := uint(0)
	for range rapid.IntRange(1, 4).Draw(t, "periods") {
		size := rapid.SampledFrom(sizes).Draw(t, "size")
		next := uint(0)
		for _, region := range rapid.Permutation(voters[:regions]).Draw(t, "regions")[:size] {
			next |= 1 << slices.Index(voters, region)
		}
		if bits.OnesCount(next) > 1 && bits.OnesCount(lost) > 1 && bits.OnesCount(next&lost) < 2 {
			// one outage that moves to other regions at once: whether the host was up in between is a matter of luck
			next = 0
		}
		lost = next
		reason := rapid.SampledFrom([]string{"connection refused", "timeout"}).Draw(t, "reason")
		out = append(out, period{at, lost, reason})
		at += time.Duration(rapid.IntRange(300, 900).Draw(t, "tenths")) * 100 * time.Millisecond
	}
	return append(out, period{from: at})
}

// live plays the history on a world and returns what was published of AMS1 after it was first up.
func live(w *world, history []period) (out []change) {
	w.begin()
	next := 0
	for w.elapsed = 0; w.elapsed < history[len(history)-1].from+time.Minute; w.elapsed += step {
		if next < len(history) && w.elapsed >= history[next].from {
			w.eachPath("AMS1/smtp", nil, func(p path) {
				delete(w.broken, p)
				if slices.Contains(history[next].regions(), w.catalog.Host(p.vantage).Region) {
					w.broken[p] = history[next].reason
				}
			})
			next++
		}
		w.step()
	}
	for _, t := range w.published {
		if t.Host == "AMS1" && t.Check == "smtp" && t.Was != mesh.Pending {
			out = append(out, change{t.Verdict, t.Began.Sub(epoch)})
		}
	}
	return out
}

func newWindowsWorld() *world {
	w := newWorld()
	w.checks = []string{"smtp"}
	w.addRegions(append([]string{"ams"}, voters...))
	return w
}

// sameWindows reports how the published changes differ from the truth: each must have begun within an interval of it.
func sameWindows(published, want []change) string {
	const interval = 10 * time.Second
	same := slices.EqualFunc(published, want, func(a, b change) bool {
		return a.verdict == b.verdict && (a.began-b.began).Abs() <= interval
	})
	if same {
		return ""
	}
	return fmt.Sprintf("published %v, the truth is %v", published, want)
}

func describe(history []period) string {
	var b strings.Builder
	for _, p := range history {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// TestPublishedWindows: for every history, the published windows are the true ones, to within one interval.
func TestPublishedWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := drawHistory(t, len(voters), []int{0, 1, 2, 3, 4, 5, 6, 7})
		if diff := sameWindows(live(newWindowsWorld(), history), oracle(history)); diff != "" {
			t.Fatalf("%s\n%s", diff, describe(history))
		}
	})
}

// TestAlternatingRegionHidesNothing: so they are while one region changes its vote with every probe.
func TestAlternatingRegionHidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The last voter alternates. The sizes are those whose verdict does not depend on its vote.
		history := drawHistory(t, len(voters)-1, []int{0, 2, 3, 4, 6})
		for i := 1; i < len(history); i++ {
			if n := bits.OnesCount(history[i].lost); bits.OnesCount(history[i-1].lost) == 6 && n > 2 && n < 6 {
				history[i].lost = 0 // else it is the changing voter that decides whether the check may leave down
			}
		}
		w := newWindowsWorld()
		reason := rapid.SampledFrom([]string{"connection refused", "timeout", "inconclusive"}).Draw(t,
			"the changing voter's reason")
		alternating := path{voters[len(voters)-1] + "1", "ams1", "smtp", mesh.IPv4}
		w.alternating[alternating] = reason
		if diff := sameWindows(live(w, history), oracle(history)); diff != "" {
			t.Fatalf("%s\n%s", diff, describe(history))
		}
	})
}
