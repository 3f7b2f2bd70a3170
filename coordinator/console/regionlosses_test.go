package console

import (
	"strings"
	"testing"
)

// The page of a region says of lost pings what the overview does, which leads to it: all that is retried is reached.
func TestARegionThatLosesPingsIsNotCalledWell(t *testing.T) {
	lost := func(all bool) func(from, to string) [2]uint64 {
		return func(from, to string) [2]uint64 {
			if from == "lusaka" && (all || to == "london") || all && to == "lusaka" {
				return [2]uint64{6, 5}
			}
			return [2]uint64{}
		}
	}
	w := newWorld()
	r := request{catalog: w.catalog, snapshot: w.snapshot}
	view := func(all bool) regionView {
		v, pings := r.regionView("lusaka"), w.pings(lost(all))
		v.addLosses(r, "lusaka", lossCounts{pings: pings, latest: pings})
		return v
	}
	const want = "But it loses pings: 18 % of those from and to it on a typical path in the last five minutes."
	if v := view(true); v.Class != "degraded" || !strings.HasSuffix(v.Conclusion, want) || v.In[0].Class != "degraded" {
		t.Errorf("%+v", v)
	}
	few := w.pings(func(_, _ string) [2]uint64 { return [2]uint64{0, 6} }) // in one half alone
	v := r.regionView("lusaka")
	if v.addLosses(r, "lusaka", lossCounts{latest: few}); v.Out[0].Class != "degraded" || v.Out[0].Lost() != "10 %" {
		t.Errorf("a burst: %+v", v.Out[0])
	}
	v = view(false)
	if v.Class != "up" || strings.Contains(v.Conclusion, "%") {
		t.Errorf("one path: %+v", v)
	}
	for _, row := range v.Out {
		share, class := "", "up"
		if row.Region == "london" {
			share, class = "18 %", "degraded"
		}
		if row.Lost() != share || row.Class != class {
			t.Errorf("one path: %+v", row)
		}
	}
}
