package console

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

type overviewView struct {
	Items       []item
	More        int
	Matrix      matrixView
	Coordinator []fact
	Changes     []changeRow
	Hosts, Up   int
	Past        bool        // it shows a moment of the past
	Earlier     *momentView // the field that asks for one; nil where the page has a line of time, or there is no past
}

const (
	// changesShown is how many transitions the overview lists, and changesWithin how far it looks back.
	changesShown  = 12
	changesWithin = 48 * time.Hour
	openMax       = 100
)

// overview is the first page: what needs an operator now, who reaches what, and how the coordinator itself is.
func overviewPage(s *console, r request) (view, error) {
	incidents, err := openIncidents(s, r)
	if err != nil {
		return view{}, err
	}
	v := overviewView{Coordinator: s.coordinatorFacts(), Hosts: len(r.snapshot.Hosts), Past: !r.moment.IsZero()}
	if s.config.Past != nil && !v.Past {
		v.Earlier = newMomentField(s, r, r.snapshot.At, r.snapshot.At)
	}
	v.Items, v.More = attention(s, r, incidents)
	for _, h := range r.snapshot.Hosts {
		if h.Status == mesh.Operational {
			v.Up++
		}
	}
	q := question{show: showRTT, page: 1}.orDefault(r.catalog)
	built := newMatrix(s, r, q)
	v.Matrix = built.view
	if v.Changes, err = latestChanges(s, r); err != nil {
		return view{}, err
	}
	return view{
		title: "Overview", template: "overview", section: "/", data: v, tables: overviewTables(v, built.table(r)),
	}, nil
}

// openIncidents returns the incidents that are open, or were at the moment that is shown.
func openIncidents(s *console, r request) ([]*incident.Incident, error) {
	_, present := s.config.Source.Current()
	q := incident.Query{Since: r.snapshot.At.Add(r.snapshot.Offset - present.Offset), Limit: openMax}
	if !r.moment.IsZero() {
		q.Until = q.Since
	}
	return s.config.Source.Incidents(r.Context(), q)
}

// latestChanges returns the latest transitions, the newest first.
func latestChanges(s *console, r request) (out []changeRow, err error) {
	p := before(r, changesWithin)
	transitions, err := s.config.Source.TransitionsIn(r.Context(), "", p.since, p.until, 10*changesShown)
	for _, t := range slices.Backward(transitions) {
		if t.Was == mesh.Pending || len(out) == changesShown {
			continue // a check's first success is no news
		}
		row := changeRow{
			Look: web.VerdictLook(t.Verdict), Host: t.Host, Check: t.Check, Sentence: t.Sentence, At: t.Published,
			URL: transitionPath(t),
		}
		if t.Check == "" {
			row.Look = web.StatusLook(t.To)
		}
		out = append(out, row)
	}
	return out, err
}

func overviewTables(v overviewView, matrix table) []table {
	needs := table{name: "attention", columns: []string{"title", "detail", "state", "since", "commands"}}
	for _, i := range v.Items {
		needs.rows = append(needs.rows, []any{i.Title, i.Detail, i.Word, i.Since, joined(i.Commands)})
	}
	changes := table{name: "transitions", columns: []string{"host", "check", "verdict", "published_at", "sentence"}}
	for _, c := range v.Changes {
		changes.rows = append(changes.rows, []any{c.Host, c.Check, c.Word, c.At, c.Sentence})
	}
	own := table{name: "coordinator", columns: []string{"name", "text"}}
	for _, f := range v.Coordinator {
		own.rows = append(own.rows, []any{f.Name, f.Text})
	}
	return []table{needs, matrix, changes, own}
}

// joined writes several texts as one.
func joined(texts []string) string { return strings.Join(texts, "; ") }
