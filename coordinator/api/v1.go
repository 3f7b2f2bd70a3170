package api

import (
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// transitionsMax is how many transitions one answer has at most; "since" asks for others.
const transitionsMax = 500

// matrixJSON is the votes on every check.
type matrixJSON struct {
	At       time.Time  `json:"at"`
	Revision string     `json:"revision"`
	Checks   []checkRow `json:"checks"`
}

// votesJSON is the votes on the checks of one host.
type votesJSON struct {
	At     time.Time   `json:"at"`
	Host   string      `json:"host"`
	Status mesh.Status `json:"status"`
	Since  *time.Time  `json:"since"`
	Checks []checkRow  `json:"checks"`
}

// checkRow is a check with the vote of each region.
type checkRow struct {
	Host     string       `json:"host"`
	Check    string       `json:"check"`
	Verdict  mesh.Verdict `json:"verdict"`
	Since    *time.Time   `json:"since"`
	Sentence string       `json:"sentence"`
	Tally    mesh.Tally   `json:"tally"`
	Regions  []voteRow    `json:"regions"`
	Except   []string     `json:"except,omitempty" description:"regions that leave the check out: they have no vote"`
}

// voteRow is the vote of one region. Edges, which name vantages, are for operators only.
type voteRow struct {
	Region string           `json:"region"`
	Own    bool             `json:"own"`
	Vote   mesh.Vote        `json:"vote"`
	Since  *time.Time       `json:"since"`
	Why    string           `json:"why,omitempty"`
	Edges  []mesh.EdgeState `json:"edges,omitempty"`
}

// matrix answers with the votes on every check.
func (a *API) matrix(w http.ResponseWriter, _ *http.Request) error {
	s := a.view.State()
	rows := []checkRow{}
	for _, h := range s.Hosts() {
		rows = append(rows, newCheckRows(s, h)...)
	}
	return web.WriteJSON(w, http.StatusOK, matrixJSON{s.Snapshot.At, s.Snapshot.Revision, rows})
}

// votes answers with the votes on the checks of one host.
func (a *API) votes(w http.ResponseWriter, r *http.Request) error {
	s := a.view.State()
	name := r.PathValue("host")
	if h, moved := s.Moved(name); moved {
		http.Redirect(w, r, "/api/v1/hosts/"+h.Name+"/votes", http.StatusFound)
		return nil
	}
	h, ok := s.Host(mesh.Key(name))
	if !ok {
		return noHost(r.PathValue("host"))
	}
	return web.WriteJSON(w, http.StatusOK, votesJSON{
		s.Snapshot.At, h.Name, h.Status, optional(h.Since), newCheckRows(s, h),
	})
}

func noHost(name string) error { return web.Errorf(http.StatusNotFound, "no host %q", name) }

func newCheckRows(s web.State, h mesh.HostState) []checkRow {
	rows := make([]checkRow, len(h.Checks))
	for i, c := range h.Checks {
		rows[i] = checkRow{
			Host: h.Name, Check: c.Name, Verdict: c.Verdict, Since: optional(c.Since), Sentence: c.Sentence,
			Tally: c.Tally, Regions: []voteRow{}, Except: c.Except,
		}
		for _, v := range c.Votes {
			vote := voteRow{Region: v.Region, Own: v.Own, Vote: v.Vote, Since: optional(v.Since), Why: v.Why}
			if s.Audience == web.Operators {
				vote.Edges = v.Edges
			}
			rows[i].Regions = append(rows[i].Regions, vote)
		}
	}
	return rows
}

// transitionRow is one transition.
type transitionRow struct {
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

// transitions answers with the newest transitions, oldest first. ?host= selects one host, ?since= those after a time.
func (a *API) transitions(w http.ResponseWriter, r *http.Request) error {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return web.Errorf(http.StatusBadRequest,
				"since=%q is not a time in RFC 3339, as in 2026-01-31T02:31:00Z", text)
		}
	}
	s := a.view.State()
	host := s.Present(r.FormValue("host"))
	if _, ok := s.Host(host); host != "" && !ok {
		return noHost(r.FormValue("host"))
	}
	transitions, err := a.view.Transitions(r.Context(), host, since, transitionsMax)
	if err != nil {
		return err
	}
	rows := []transitionRow{}
	for _, t := range transitions {
		if s.Visible(t.Public) {
			rows = append(rows, transitionRow{
				t.ID, t.Host, t.Check, t.From, t.To, t.Was, t.Verdict, t.Began.UTC(), t.Published.UTC(), t.Sentence,
			})
		}
	}
	return web.WriteJSON(w, http.StatusOK, rows)
}
