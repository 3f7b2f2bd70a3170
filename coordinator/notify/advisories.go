package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// advisories turns warnings, which come and go, into alerts that begin and end.
type advisories struct {
	since  time.Time // of the observation
	open   map[string]*Alert
	rounds map[string]int // by alert id: of the next one
	sent   map[string]ledger.NotifyEvent
	gone   map[string]time.Time // by alert id: since when an open one has no warning
	// legacy are the plain ids that continue an advisory which was sent before ids had digests, by subject.
	legacy map[string]string
}

// goneFor is how long a warning must be gone before its advisory is over: one that comes and goes is one message.
const goneFor = time.Minute

// newAdvisories continues from what was sent before.
func newAdvisories(events []ledger.NotifyEvent, now time.Time) advisories {
	a := advisories{
		since: now, open: map[string]*Alert{}, rounds: map[string]int{}, sent: map[string]ledger.NotifyEvent{},
		gone: map[string]time.Time{}, legacy: map[string]string{},
	}
	for _, e := range events {
		if e.Action != ledger.NotifySent || !strings.HasPrefix(e.Alert, advisoryPrefix) {
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

// identify returns the ids of the warnings' alerts, by subject. An advisory that an earlier version sent with its plain
// id keeps that until it is over: nobody gets it again, and links and acknowledgements stay valid. If several warnings
// share the plain id, the first continues it and the others are advisories of their own.
func (a *advisories) identify(warnings map[string]string) map[string]string {
	continued := map[string]bool{}
	for subject, id := range a.legacy {
		if _, sent := a.sent[id]; !sent {
			delete(a.legacy, subject)
		} else {
			continued[id] = true
		}
	}
	out := map[string]string{}
	for _, subject := range slices.Sorted(maps.Keys(warnings)) {
		id, plain := advisoryID(subject), plainID(subject)
		_, sent := a.sent[id]
		_, sentPlain := a.sent[plain]
		if a.legacy[subject] == "" && sentPlain && !sent && !continued[plain] && a.open[id] == nil && id != plain {
			a.legacy[subject], continued[plain] = plain, true
		}
		out[subject] = cmp.Or(a.legacy[subject], id)
	}
	return out
}

// observe returns the advisories of the present warnings, and those that ended within the last day.
func (a *advisories) observe(warnings map[string]string, now time.Time) (out []Alert) {
	ids, present := a.identify(warnings), map[string]bool{}
	for subject, text := range warnings {
		id := ids[subject]
		present[id] = true
		delete(a.gone, id)
		m := a.open[id]
		if m == nil || !m.Over.IsZero() {
			m = &Alert{ID: id, Round: a.rounds[id], Advisory: AdvisoryKind(subject), Opened: now}
			if e, ok := a.sent[id]; ok { // an earlier run sent it
				m.Opened = e.At
			}
			a.open[id] = m
		}
		title, _, _ := strings.Cut(text, "\n")
		m.Text = Text{Title: title, What: text, Next: command.ProgramName("coordinator") + " status"}
	}
	for id, e := range a.sent { // sent by an earlier run, and gone now
		if a.open[id] == nil && now.Sub(a.since) >= settleFor {
			a.open[id] = &Alert{
				ID: id, Round: e.Round, Advisory: AdvisoryKind(subjectOf(id)), Opened: e.At,
				Text: Text{Title: strings.ReplaceAll(subjectOf(id), "-", " "), What: "The warning ended."},
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.open)) {
		m := a.open[id]
		if since, known := a.gone[id]; !present[id] && m.Over.IsZero() && !known {
			a.gone[id] = now
		} else if !present[id] && m.Over.IsZero() && now.Sub(since) >= goneFor {
			m.Over = now
			m.Text.What = "This is over. It was: " + m.Text.What
			delete(a.gone, id)
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

// covered reports whether maintenance of a whole host explains a warning: its agent may be silent then. What else is
// wrong with the mesh matters all the same.
func covered(subject string, s *mesh.Snapshot) bool {
	if s == nil {
		return false
	}
	about, key, found := strings.Cut(subject, "-")
	if !found || about != "silent" && about != "isolated" {
		return false
	}
	return slices.ContainsFunc(s.Hosts, func(h mesh.HostState) bool {
		return mesh.Key(h.Name) == key && h.Status == mesh.UnderMaintenance
	})
}

const (
	// pauseMin is the shortest time without a judge that people are notified of: a restart takes less.
	pauseMin = time.Minute
	// pausesWithin is how long after such a time it is still reported.
	pausesWithin = time.Hour
)

// ofPauses returns advisories about times in which nothing was judged: nobody could be notified of anything then. They
// are over when they become known, so that each is one message.
func ofPauses(pauses []sla.Window) (out []Alert) {
	for _, p := range pauses {
		if p.To.Sub(p.From) < pauseMin {
			continue
		}
		lasted := incident.FormatDuration(p.To.Sub(p.From).Round(time.Second))
		out = append(out, Alert{
			ID: fmt.Sprintf("advisory-pause-%d", p.From.Unix()), Advisory: "coordinator", Opened: p.To, Over: p.To,
			Text: Text{
				Title: "nothing was judged for " + lasted,
				What: fmt.Sprintf("The coordinator was down or cut off for %s, from %s to %s. Nobody was notified of what "+
					"happened meanwhile, unless it went on.", lasted, p.From.UTC().Format("15:04:05"),
					p.To.UTC().Format("15:04:05 UTC")),
			},
		})
	}
	return out
}
