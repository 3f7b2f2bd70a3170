package console

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// event is something that may explain what a chart shows and is no change of a verdict: a change of the catalog, or a
// time in which no coordinator judged.
type event struct {
	At, To time.Time // by the wall clock; To is zero for a moment
	Text   string
}

// eventsMax is how many events are listed, and eventChanges how many changes of the catalog each names.
const eventsMax, eventChanges = 20, 3

// eventsOf returns what happened beside a check's changes of verdicts, the newest first.
func (s *console) eventsOf(r request, host, check string) (out []event, err error) {
	if s.config.Records == nil {
		return nil, nil
	}
	since := r.snapshot.At.Add(-changesWithin)
	hosts, checks := namesOf(r, host, check)
	changes, err := s.catalogChanges(r)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if text := changesAbout(c, hosts, checks); text != "" && !c.At.Before(since) && !c.At.After(r.snapshot.At) {
			out = append(out, event{At: c.At, Text: "Catalog changed: " + text})
		}
	}
	offset := r.snapshot.Offset
	pauses, err := s.config.Records.Pauses(r.Context(), since.Add(offset), r.snapshot.At.Add(offset))
	if err != nil {
		return nil, err
	}
	for _, p := range pauses {
		out = append(out, event{At: p.From.Add(-offset), To: p.To.Add(-offset), Text: "No coordinator judged"})
	}
	slices.SortStableFunc(out, func(a, b event) int { return b.At.Compare(a.At) })
	return out[:min(len(out), eventsMax)], nil
}

// catalogChanges returns the newest changes of the catalog. They are read once for each catalog that comes into force:
// one of a thousand hosts is a megabyte.
func (s *console) catalogChanges(r request) ([]ledger.Change, error) {
	present, _ := s.config.Source.Current()
	s.historyMu.Lock()
	defer s.historyMu.Unlock()
	if s.historyOf == present.Revision {
		return s.history, nil
	}
	changes, err := s.config.Records.CatalogChanges(r.Context(), historyShown)
	if err != nil {
		return nil, err
	}
	if len(changes) > 0 && changes[0].Revision == present.Revision { // the view may be a moment behind
		s.history, s.historyOf = changes, present.Revision
	}
	return changes, nil
}

// changesAbout lists what a new catalog changed for a check, or for its host as a whole. The names are keys.
func changesAbout(c ledger.Change, hosts, checks []string) string {
	var texts []string
	for _, one := range c.Changes {
		about := slices.Contains(hosts, mesh.Key(one.Host)) &&
			(one.Check == "" || slices.Contains(checks, mesh.Key(one.Check)))
		if about && !one.Advice {
			texts = append(texts, one.String())
		}
	}
	if more := len(texts) - eventChanges; more > 0 {
		texts = append(texts[:eventChanges], mesh.Count(more, "more change"))
	}
	return strings.Join(texts, "; ")
}

// eventTable is the table of events for programs.
func eventTable(events []event) table {
	t := table{name: "events", columns: []string{"at", "until", "event"}}
	for _, e := range events {
		var until any
		if !e.To.IsZero() {
			until = e.To
		}
		t.rows = append(t.rows, []any{e.At, until, e.Text})
	}
	return t
}

// chartMarks are the outages of a check up to the moment that is shown, and what else happened. They are of all times:
// an outage that began before a chart does may last in it.
func (s *console) chartMarks(r request, host, check string, events []event) (out []web.ChartMark, err error) {
	all, err := transitionsOf(s, r, host, check, period{until: upToMoment(r, 0).until}, changesRead)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if n := len(out); n > 0 && out[n-1].To.IsZero() {
			out[n-1].To = t.Began
		}
		if t.Verdict == mesh.Down || t.Verdict == mesh.Partial || t.Verdict == mesh.Unknown {
			out = append(out, web.ChartMark{Name: check + " is " + string(t.Verdict), From: t.Began})
		}
	}
	if n := len(out); n > 0 && out[n-1].To.IsZero() {
		out[n-1].To = r.snapshot.At
	}
	for _, e := range events {
		out = append(out, web.ChartMark{Name: e.Text, From: e.At, To: e.To, Quiet: true})
	}
	return out, nil
}

// marksOf returns the marks of a page that does not list the events.
func marksOf(s *console, r request, host, check string) ([]web.ChartMark, error) {
	events, err := s.eventsOf(r, host, check)
	if err != nil {
		return nil, err
	}
	return s.chartMarks(r, host, check, events)
}
