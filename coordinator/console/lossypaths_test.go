package console

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// pings are the counts of a world in which every region pings every other, and loses a number of 30 in each half.
func (w world) pings(lost func(from, to string) [2]uint64) map[pairKey]pingCounts {
	out := map[pairKey]pingCounts{}
	for _, from := range places {
		for _, to := range places {
			if from != to {
				key := pairKey{mesh.Key(to[:3] + "1"), "ping", mesh.Key(from[:3] + "1")}
				out[key] = pingCounts{sent: [2]uint64{30, 30}, lost: lost(from, to)}
			}
		}
	}
	return out
}

func TestALossyPathIsNamed(t *testing.T) {
	path := func(a, b string) bool { return a == "lusaka" && b == "london" }
	much, none := [2]uint64{6, 5}, [2]uint64{}
	for name, test := range map[string]struct {
		lost   func(from, to string) [2]uint64
		change func(world)
		want   string // the title's beginning; "" for no item
	}{
		"nothing": {lost: func(_, _ string) [2]uint64 { return none }},
		"one direction": {want: "Path from Lusaka to London loses 18 % of probes", lost: func(a, b string) [2]uint64 {
			if path(a, b) {
				return much
			}
			return none
		}},
		"both directions": {want: "Path between London and Lusaka loses probes: 18 % from London, 18 % from Lusaka",
			lost: func(a, b string) [2]uint64 {
				if path(a, b) || path(b, a) {
					return much
				}
				return none
			}},
		"the whole mesh": {lost: func(_, _ string) [2]uint64 { return much }},
		"a path, and a little everywhere": {lost: func(a, b string) [2]uint64 {
			if path(a, b) {
				return much
			}
			return [2]uint64{1, 1}
		}},
		"the uplink of a region": {lost: func(a, b string) [2]uint64 {
			if a == "lusaka" || b == "lusaka" {
				return much
			}
			return none
		}},
		"a host that was down for minutes": {lost: func(_, to string) [2]uint64 {
			if to == "london" {
				return [2]uint64{20, 20}
			}
			return none
		}},
		"a burst": {lost: func(a, b string) [2]uint64 {
			if path(a, b) {
				return [2]uint64{0, 12}
			}
			return none
		}},
		"a burst that is over": {lost: func(a, b string) [2]uint64 {
			if path(a, b) {
				return [2]uint64{12, 1}
			}
			return none
		}},
		"all of it, which is a filter or a cut": {lost: func(a, b string) [2]uint64 {
			if path(a, b) {
				return [2]uint64{30, 30}
			}
			return none
		}},
		"a host that is down": {change: func(w world) { w.snapshot.Hosts[1].Status = mesh.MajorOutage },
			lost: func(a, b string) [2]uint64 {
				if path(a, b) {
					return much
				}
				return none
			}},
		"a ping that is maintained": {change: func(w world) { w.snapshot.Hosts[1].Checks[0].Maintenance = "m1" },
			lost: func(a, b string) [2]uint64 {
				if path(a, b) {
					return much
				}
				return none
			}},
	} {
		w := newWorld()
		if test.change != nil {
			test.change(w)
		}
		var got []string
		for _, p := range lossyPaths(w.catalog, w.snapshot, w.pings(test.lost), nil) {
			got = append(got, p.item(request{catalog: w.catalog, snapshot: w.snapshot}).Title)
		}
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// counted is a source in which a pair lost everything.
type counted struct{ Source }

func (counted) Losses(ctx context.Context, _, _ time.Time) ([]latency.VantageLoss, error) {
	return []latency.VantageLoss{{Host: "NC036", Check: "ping", Vantage: "NC041", Sent: 9, Lost: 9}}, ctx.Err()
}

// Losses are counted to the end even if the reader whose request started the count disconnects.
func TestAReaderWhoLeavesHidesNoLosses(t *testing.T) {
	s := &console{config: Config{Source: counted{}, Logger: zerolog.Nop()}}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for _, ctx := range []context.Context{ctx, t.Context()} {
		r := request{Request: httptest.NewRequestWithContext(ctx, "GET", "/", nil), catalog: &catalog.Catalog{}}
		if lost := presentLosses(s, r).shares; lost.typical() != 1 {
			t.Errorf("losses %v", lost)
		}
	}
}

// A path that is named as a cut is not named a second time, and an item says what to do next.
func TestALossyPathHasANextAct(t *testing.T) {
	w := newWorld()
	w.catalog.Hosts[1].Addresses = []string{"192.0.2.1"}
	counts := w.pings(func(from, to string) [2]uint64 {
		if from == "lusaka" && to == "london" {
			return [2]uint64{6, 5}
		}
		return [2]uint64{}
	})
	found := lossyPaths(w.catalog, w.snapshot, counts, nil)
	if len(found) != 1 {
		t.Fatalf("%+v", found)
	}
	it := found[0].item(request{catalog: w.catalog, snapshot: w.snapshot})
	if !strings.Contains(it.Detail, "11 of 60 pings from Lusaka lost in the last ten minutes") ||
		len(it.Commands) != 1 || it.Commands[0] != "mtr --report --report-cycles 100 192.0.2.1" {
		t.Errorf("%+v", it)
	}
	cut := []brokenPath{{direction: direction{"london", "lusaka"}}}
	if again := lossyPaths(w.catalog, w.snapshot, counts, cut); len(again) > 0 {
		t.Errorf("%+v", again)
	}
}

// A mesh of two regions cannot tell a path from its ends.
func TestTwoRegionsHaveNoLossyPath(t *testing.T) {
	w := newWorld()
	counts := map[pairKey]pingCounts{
		{"lon1", "ping", "lus1"}: {sent: [2]uint64{30, 30}, lost: [2]uint64{9, 9}},
		{"lus1", "ping", "lon1"}: {sent: [2]uint64{30, 30}},
	}
	if got := lossyPaths(w.catalog, w.snapshot, counts, nil); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}
