package page

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// apiRow is one check of /api/v1/matrix.
type apiRow struct {
	Host     string       `json:"host"`
	Check    string       `json:"check"`
	Verdict  mesh.Verdict `json:"verdict"`
	Since    *time.Time   `json:"since"`
	Sentence string       `json:"sentence"`
	Tally    mesh.Tally   `json:"tally"`
	Regions  []apiVote    `json:"regions"`
}

// apiVote is one region's vote. Edges, by vantage, are for operators.
type apiVote struct {
	Region string           `json:"region"`
	Own    bool             `json:"own"`
	Vote   mesh.Vote        `json:"vote"`
	Since  *time.Time       `json:"since"`
	Why    string           `json:"why,omitempty"`
	Edges  []mesh.EdgeState `json:"edges,omitempty"`
}

func (s *site) apiMatrix(w http.ResponseWriter, _ *http.Request) {
	m := s.moment()
	rows := []apiRow{}
	for _, h := range m.hosts() {
		rows = append(rows, m.rows(h)...)
	}
	writeJSON(w, map[string]any{"at": m.snapshot.At, "revision": m.snapshot.Revision, "checks": rows})
}

func (m moment) rows(h mesh.HostState) []apiRow {
	rows := make([]apiRow, len(h.Checks))
	for i, c := range h.Checks {
		rows[i] = apiRow{
			Host: h.Name, Check: c.Name, Verdict: c.Verdict, Since: optional(c.Since), Sentence: c.Sentence, Tally: c.Tally, Regions: []apiVote{},
		}
		for _, v := range c.Votes {
			vote := apiVote{Region: v.Region, Own: v.Own, Vote: v.Vote, Since: optional(v.Since), Why: v.Why}
			if m.audience == Operators {
				vote.Edges = v.Edges
			}
			rows[i].Regions = append(rows[i].Regions, vote)
		}
	}
	return rows
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *site) apiVotes(w http.ResponseWriter, r *http.Request) {
	m := s.moment()
	h, ok := m.host(mesh.Key(r.PathValue("host")))
	if !ok {
		s.noHost(w, r)
		return
	}
	writeJSON(w, map[string]any{"at": m.snapshot.At, "host": h.Name, "status": h.Status, "since": optional(h.Since), "checks": m.rows(h)})
}

func (s *site) noHost(w http.ResponseWriter, r *http.Request) {
	writeText(w, http.StatusNotFound, fmt.Sprintf("there is no host %q here\n", r.PathValue("host")))
}

// apiTransition is one line of /api/v1/transitions.
type apiTransition struct {
	ID        string       `json:"id"`
	Host      string       `json:"host"`
	Check     string       `json:"check"`
	From      mesh.Status  `json:"from"`
	To        mesh.Status  `json:"to"`
	Was       mesh.Verdict `json:"was"`
	Verdict   mesh.Verdict `json:"verdict"`
	Began     time.Time    `json:"began"`
	Published time.Time    `json:"published"`
	Sentence  string       `json:"sentence"`
}

func (s *site) apiTransitions(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			writeText(w, http.StatusBadRequest, fmt.Sprintf("since=%q is not a time: write it as 2026-01-31T02:31:00Z\n", text))
			return
		}
	}
	m := s.moment()
	host := mesh.Key(r.FormValue("host"))
	if _, ok := m.host(host); host != "" && !ok {
		writeText(w, http.StatusNotFound, fmt.Sprintf("there is no host %q here\n", r.FormValue("host")))
		return
	}
	transitions, err := s.view.transitions(r.Context(), host, since, historyMax)
	if err != nil {
		s.fail(w, err)
		return
	}
	out := []apiTransition{}
	for _, t := range transitions {
		if m.sees(t.Public) {
			out = append(out, apiTransition{t.ID, t.Host, t.Check, t.From, t.To, t.Was, t.Verdict, t.Began.UTC(), t.Published.UTC(), t.Sentence})
		}
	}
	writeJSON(w, out)
}

// badge is a host's status as a picture for other pages.
func (s *site) badge(w http.ResponseWriter, r *http.Request) {
	name, isSVG := strings.CutSuffix(r.PathValue("file"), ".svg")
	h, ok := s.moment().host(mesh.Key(name))
	if !ok || !isSVG {
		writeText(w, http.StatusNotFound, "there is no such badge\n")
		return
	}
	l := statusLooks[h.Status]
	color := map[string]string{"up": "#0f7b46", "degraded": "#8a5a00", "partial": "#b04a00", "down": "#b3261e", "unknown": "#5b6570"}[l.Class]
	const letter = 7 // pixels, about
	left, right := letter*len(h.Name)+16, letter*len(l.Word)+16
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "no-cache")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="22" role="img" aria-label="%[2]s: %[3]s"><title>%[2]s: %[3]s</title><rect width="%[4]d" height="22" fill="#3b4652"/><rect x="%[4]d" width="%[5]d" height="22" fill="%[6]s"/><g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"><text x="%[7]d" y="15">%[2]s</text><text x="%[8]d" y="15">%[3]s</text></g></svg>`,
		left+right, html.EscapeString(h.Name), l.Word, left, right, color, left/2, left+right/2)
}
