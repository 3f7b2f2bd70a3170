package notify

import (
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

const (
	// keptFor is how long what was sent about what is over is remembered: longer than any repeat.
	keptFor     = 9 * 24 * time.Hour
	forgetEvery = time.Hour
)

// forget bounds the state of a notifier that runs for long. It must be called with the alerts of now.
func (l *loop) forget(now time.Time) {
	if now.Sub(l.forgot) >= forgetEvery {
		l.forgot = now
		l.state.Forget(now.Add(-keptFor), l.alerts)
	}
}

// Forget drops what was sent and acknowledged before a time, and the silences that ended before it. What is about one
// of the alerts stays: the end of an outage goes to every channel that was notified of it, however long it lasts.
func (s *State) Forget(before time.Time, alerts []Alert) {
	lasts := map[string]bool{}
	for _, m := range alerts {
		lasts[m.ID] = true
	}
	old := func(m mark) bool { return m.at.Before(before) && !lasts[m.alert] }
	maps.DeleteFunc(s.sent, func(_ string, m mark) bool { return old(m) })
	maps.DeleteFunc(s.steps, func(_ string, all []step) bool { return old(all[len(all)-1].mark) })
	maps.DeleteFunc(s.acked, func(_ string, e ledger.NotifyEvent) bool { return old(mark{e.Alert, e.At}) })
	s.Silences = slices.DeleteFunc(s.Silences, func(x ledger.Silence) bool { return x.Until.Before(before) })
}
