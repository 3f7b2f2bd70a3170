package incident

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Downtime is how long the incident lasted, up to a time: the time during which any of its checks failed. Checks that
// fail at once count once, and the time in which everything worked, before the incident was reopened, does not count.
// Everything that shows a duration of an incident shows this one.
func (i *Incident) Downtime(until time.Time) (sum time.Duration) {
	var windows []Window
	for _, h := range i.Hosts {
		windows = append(windows, h.Windows...)
	}
	if measured, _ := i.Measured(); !measured { // a person opened it, and nothing failed
		return 0
	}
	if len(windows) == 0 { // the status changed with the catalog, and no check failed
		return max(0, until.Sub(i.Began))
	}
	slices.SortStableFunc(windows, func(a, b Window) int { return a.From.Compare(b.From) })
	var end time.Time // of the windows that were counted
	for _, w := range windows {
		to := w.To
		if to.IsZero() {
			to = later(until, w.From)
		}
		if from := later(w.From, end); to.After(from) {
			sum += to.Sub(from)
		}
		end = later(to, end)
	}
	return sum
}

// lastEnd is the end of the last window of an incident that is over; zero if it has none.
func lastEnd(i *Incident) (end time.Time) {
	for _, h := range i.Hosts {
		for _, w := range h.Windows {
			end = later(end, w.To)
		}
	}
	return end
}

// failedFor is how long the check of a transition had failed when it recovered: its windows up to now, as far back as
// they follow on one another, since a check may have been partial before it was down.
func (h *Host) failedFor(t mesh.Transition) time.Duration {
	var from time.Time
	for _, w := range slices.Backward(h.Windows) {
		switch {
		case w.Check != t.Check:
		case from.IsZero() && w.To.IsZero(), !from.IsZero() && w.To.Equal(from):
			from = w.From
		default:
			return since(from, t.Began)
		}
	}
	return since(from, t.Began)
}

func since(from, to time.Time) time.Duration {
	if from.IsZero() {
		return 0
	}
	return max(0, to.Sub(from))
}
