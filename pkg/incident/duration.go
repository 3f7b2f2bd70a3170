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
	if measured, _ := i.Measured(); !measured { // a person opened it, and nothing failed
		return 0
	}
	var windows []Window
	for _, h := range i.Hosts {
		windows = append(windows, h.Windows...)
	}
	if len(windows) == 0 { // the status changed with the catalog, and no check failed
		return WholeSeconds(i.Began, until)
	}
	return Covered(windows, until)
}

// Covered is how long, up to a time, at least one of the windows lasted.
func Covered(windows []Window, until time.Time) (sum time.Duration) {
	windows = slices.Clone(windows)
	slices.SortStableFunc(windows, func(a, b Window) int { return a.From.Compare(b.From) })
	var from, to time.Time // of the windows that overlap
	for _, w := range windows {
		end := w.To
		if end.IsZero() {
			end = later(until, w.From)
		}
		if w.From.After(to) {
			sum += WholeSeconds(from, to)
			from, to = w.From, end
		}
		to = later(end, to)
	}
	return sum + WholeSeconds(from, to)
}

// WholeSeconds is how long an outage lasted for people: from the second in which it began to the end of that in which
// it ended. An uptime counts it so too, in package sla, and the two must agree.
func WholeSeconds(from, to time.Time) time.Duration {
	if !to.After(from) {
		return 0
	}
	end := to.Truncate(time.Second)
	if end.Before(to) {
		end = end.Add(time.Second)
	}
	return end.Sub(from.Truncate(time.Second))
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
