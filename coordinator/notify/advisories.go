package notify

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// advisories turns warnings, which come and go, into matters that begin and end.
type advisories struct {
	since  time.Time // of the observation
	open   map[string]*Matter
	rounds map[string]int // by matter id: of the next one
	told   map[string]ledger.NotifyEvent
}

// newAdvisories continues from what was sent before.
func newAdvisories(events []ledger.NotifyEvent, now time.Time) advisories {
	a := advisories{
		since: now, open: map[string]*Matter{}, rounds: map[string]int{}, told: map[string]ledger.NotifyEvent{},
	}
	for _, e := range events {
		if e.Action != ledger.NotifySent || !strings.HasPrefix(e.Matter, "advisory-") {
			continue
		}
		if e.Step == stepOver {
			a.rounds[e.Matter] = max(a.rounds[e.Matter], e.Round+1)
			delete(a.told, e.Matter)
		} else {
			a.rounds[e.Matter] = max(a.rounds[e.Matter], e.Round)
			a.told[e.Matter] = e
		}
	}
	return a
}

// observe returns the advisories of the present warnings, and those that ended within the last day.
func (a *advisories) observe(warnings map[string]string, now time.Time) (out []Matter) {
	for subject, text := range warnings {
		id := advisoryID(subject)
		m := a.open[id]
		if m == nil || !m.Over.IsZero() {
			m = &Matter{ID: id, Round: a.rounds[id], Advisory: AdvisoryKind(subject), Opened: now}
			if e, ok := a.told[id]; ok { // an earlier run told of it
				m.Opened = e.At
			}
			a.open[id] = m
		}
		title, _, _ := strings.Cut(text, "\n")
		m.Text = Text{Title: title, What: text, Next: "coordinator status"}
	}
	for id, e := range a.told { // told by an earlier run, and gone now
		if a.open[id] == nil && now.Sub(a.since) >= settleFor {
			a.open[id] = &Matter{
				ID: id, Round: e.Round, Advisory: AdvisoryKind(strings.TrimPrefix(id, "advisory-")), Opened: e.At,
				Text: Text{Title: strings.ReplaceAll(strings.TrimPrefix(id, "advisory-"), "-", " "), What: "The warning ended."},
			}
		}
	}
	present := map[string]bool{}
	for subject := range warnings {
		present[advisoryID(subject)] = true
	}
	for _, id := range slices.Sorted(maps.Keys(a.open)) {
		m := a.open[id]
		if !present[id] && m.Over.IsZero() {
			m.Over = now
			a.rounds[id] = m.Round + 1
			delete(a.told, id)
		}
		if !m.Over.IsZero() && now.Sub(m.Over) > TellWithin {
			delete(a.open, id)
			continue
		}
		out = append(out, *m)
	}
	return out
}
