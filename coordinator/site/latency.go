package site

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
)

// milliseconds writes a round-trip time for people: "0.4 ms", "84 ms"; "" for none.
func milliseconds(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case d <= 0:
		return ""
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.0f ms", ms)
	}
}

// typical is the median of the latest round-trip times of all regions but the host's own.
func typical(recent []latency.Recent, own string) string {
	var all []time.Duration
	for _, r := range recent {
		if r.Region != own && r.Latest.RTT > 0 {
			all = append(all, r.Latest.RTT)
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return milliseconds(all[len(all)/2])
}

// regionView is a check as one region sees it.
type regionView struct {
	web.Look
	City           string
	Own            bool
	Last, P50, P95 string
	Line           string // points of the medians of 48 hours, for a drawing of lineWidth by lineHeight
}

// The size of the drawing of two days.
const (
	lineWidth  = latency.RecentHours - 1
	lineHeight = 40
)

// newRegionViews joins the votes of a check with what its regions measured.
func newRegionViews(votes []voteView, recent []latency.Recent) []regionView {
	var highest time.Duration
	for _, r := range recent {
		for _, h := range r.Hours.All() {
			highest = max(highest, h.P50)
		}
	}
	out := make([]regionView, len(votes))
	for n, v := range votes {
		out[n] = regionView{Look: v.Look, City: v.City, Own: v.Own}
		i := slices.IndexFunc(recent, func(r latency.Recent) bool { return r.Region == v.Region })
		if i < 0 {
			continue
		}
		r := recent[i]
		out[n].Last, out[n].P50, out[n].P95 = milliseconds(r.Latest.RTT), milliseconds(r.Day.P50), milliseconds(r.Day.P95)
		out[n].Line = line(r, highest)
	}
	return out
}

// line returns the medians of the hours as the path of a drawing: it breaks where nothing was measured, and an hour
// alone is a dot. A page carries dozens, so that numbers are whole, and what lies on a level line is left out.
func line(r latency.Recent, highest time.Duration) string {
	const none = -1
	heights := make([]int, latency.RecentHours)
	for x, h := range r.Hours.All() {
		heights[x] = none
		if h.P50 > 0 {
			heights[x] = lineHeight - 1 - int(h.P50*(lineHeight-2)/highest)
		}
	}
	at := func(x int) int {
		if x < 0 || x == len(heights) {
			return none
		}
		return heights[x]
	}
	var out strings.Builder
	for x, y := range heights {
		switch {
		case y == none, at(x-1) == y && at(x+1) == y:
		case at(x-1) == none && at(x+1) == none:
			fmt.Fprintf(&out, "M%d %dh0", x, y)
		case at(x-1) == none:
			fmt.Fprintf(&out, "M%d %d", x, y)
		default:
			fmt.Fprintf(&out, "L%d %d", x, y)
		}
	}
	return out.String()
}
