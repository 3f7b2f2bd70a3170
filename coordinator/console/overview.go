package console

import (
	"strings"

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
	Earlier     *momentView // the field that asks for one; nil where the page has a timeline, or there is no past
}

// openMax bounds the open incidents that the overview considers.
const openMax = 100

// overviewPage is the first page: what needs an operator now, who reaches what, and how the coordinator itself is.
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
