package notify

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// advisories turns warnings, which come and go, into alerts that begin and end.
type advisories struct {
	since  time.Time // of the observation
	open   map[string]*Alert
	rounds map[string]int // by alert id: of the next one
	sent   map[string]ledger.NotifyEvent
}

// newAdvisories continues from what was sent before.
func newAdvisories(events []ledger.NotifyEvent, now time.Time) advisories {
	a := advisories{
		since: now, open: map[string]*Alert{}, rounds: map[string]int{}, sent: map[string]ledger.NotifyEvent{},
	}
	for _, e := range events {
		if e.Action != ledger.NotifySent || !strings.HasPrefix(e.Alert, "advisory-") {
			continue
		}
		if e.Step == stepOver {
			a.rounds[e.Alert] = max(a.rounds[e.Alert], e.Round+1)
			delete(a.sent, e.Alert)
		} else {
			a.rounds[e.Alert] = max(a.rounds[e.Alert], e.Round)
			a.sent[e.Alert] = e
		}
	}
	return a
}

// observe returns the advisories of the present warnings, and those that ended within the last day.
func (a *advisories) observe(warnings map[string]string, now time.Time) (out []Alert) {
	for subject, text := range warnings {
		id := advisoryID(subject)
		m := a.open[id]
		if m == nil || !m.Over.IsZero() {
			m = &Alert{ID: id, Round: a.rounds[id], Advisory: AdvisoryKind(subject), Opened: now}
			if e, ok := a.sent[id]; ok { // an earlier run sent it
				m.Opened = e.At
			}
			a.open[id] = m
		}
		title, _, _ := strings.Cut(text, "\n")
		m.Text = Text{Title: title, What: text, Next: "coordinator status"}
	}
	for id, e := range a.sent { // sent by an earlier run, and gone now
		if a.open[id] == nil && now.Sub(a.since) >= settleFor {
			a.open[id] = &Alert{
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
			delete(a.sent, id)
		}
		if !m.Over.IsZero() && now.Sub(m.Over) > NotifyWithin {
			delete(a.open, id)
			continue
		}
		out = append(out, *m)
	}
	return out
}
