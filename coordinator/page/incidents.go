package page

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
)

// unresolved is a time after which only what is still open ends.
func unresolved() time.Time { return time.Now().AddDate(100, 0, 0) }

var impactLooks = map[incident.Impact]look{
	incident.Minor: {"degraded", "▲", "Degraded"}, incident.Major: {"partial", "◆", "Partial outage"}, incident.Critical: {"down", "■", "Major outage"},
}

// incidentView is an incident on a page.
type incidentView struct {
	look
	ID, Name, Lasted string
	Open             bool
	Began, Resolved  time.Time
	LeftOut          int
	Hosts            []outageView
	Updates          []updateView // newest first
}

type outageView struct {
	Host    string
	Windows []windowView
}

type windowView struct {
	look
	Check, Lasted string
	From, To      time.Time
}

type updateView struct {
	State, Host, Check, Body string
	At                       time.Time
}

// dayView is one day of the past.
type dayView struct {
	Day       string
	GoesOn    bool // an incident that began then is at the top of the page
	Incidents []incidentView
}

const latestUpdates = 3 // of an open incident on the front page

func (m moment) incidentView(i *incident.Incident) incidentView {
	v := incidentView{
		look: impactLooks[i.Impact], ID: i.ID, Name: i.Name(), Open: i.Open(), Began: i.Wall(i.Began), Resolved: i.Wall(i.Resolved), LeftOut: i.LeftOut,
	}
	if i.Open() {
		v.Lasted = soFar(m.snapshot.MeshTime().Sub(i.Began))
	} else {
		v.Lasted, v.look = incident.Lasted(i.Resolved.Sub(i.Began)), look{"up", "●", "Resolved"}
	}
	for _, h := range i.Hosts {
		o := outageView{Host: h.Name}
		for _, w := range h.Windows {
			view := windowView{look: verdictLooks[w.Verdict], Check: w.Check, From: i.Wall(w.From), To: i.Wall(w.To)}
			if !w.To.IsZero() {
				view.Lasted = incident.Lasted(w.To.Sub(w.From))
			}
			o.Windows = append(o.Windows, view)
		}
		v.Hosts = append(v.Hosts, o)
	}
	for _, u := range slices.Backward(i.Updates) {
		v.Updates = append(v.Updates, updateView{State: title1(string(u.State)), Host: u.Host, Check: u.Check, Body: u.Body, At: i.Wall(u.At)})
	}
	return v
}

// soFar is how long an incident goes on, in minutes: a page that told seconds would be sent anew each second.
func soFar(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute ago"
	}
	return incident.Lasted(d.Truncate(time.Minute)) + " ago"
}

// title1 writes the first letter large.
func title1(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// openIncidents are the incidents at the top of the front page, with their latest updates.
func (m moment) openIncidents(all []*incident.Incident) []incidentView {
	var out []incidentView
	for _, i := range all {
		if i.Open() {
			v := m.incidentView(i)
			v.Updates = v.Updates[:min(len(v.Updates), latestUpdates)]
			out = append(out, v)
		}
	}
	return out
}

const daysShown = 7

// pastIncidents are the resolved ones by the day they began, today first; a day without any is there too.
func (m moment) pastIncidents(all []*incident.Incident) []dayView {
	const layout = "2 January 2006"
	days := make([]dayView, daysShown)
	for n := range days {
		days[n].Day = m.snapshot.At.UTC().AddDate(0, 0, -n).Format(layout)
		for _, i := range all {
			if i.Open() && i.Wall(i.Began).UTC().Format(layout) == days[n].Day {
				days[n].GoesOn = true
			}
			if !i.Open() && i.Wall(i.Began).UTC().Format(layout) == days[n].Day {
				days[n].Incidents = append(days[n].Incidents, m.incidentView(i))
			}
		}
	}
	return days
}

// incidentBody is the page of one incident.
func (s *site) incidentBody(ctx context.Context, m moment, id string) (body template.HTML, found bool, err error) {
	i, err := s.view.incident(ctx, id)
	if err != nil || i == nil {
		return "", false, err
	}
	body, err = Render(templates, "incident", m.incidentView(i))
	return body, true, err
}

// The shape of an incident is Statuspage's.

type incidentJSON struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Status          string          `json:"status"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
	MonitoringAt    *time.Time      `json:"monitoring_at"`
	ResolvedAt      *time.Time      `json:"resolved_at"`
	Impact          string          `json:"impact"`
	Shortlink       string          `json:"shortlink"`
	StartedAt       time.Time       `json:"started_at"`
	PageID          string          `json:"page_id"`
	IncidentUpdates []updateJSON    `json:"incident_updates"` // newest first
	Components      []componentJSON `json:"components"`
}

type updateJSON struct {
	ID                 string         `json:"id"`
	Status             string         `json:"status"`
	Body               string         `json:"body"`
	IncidentID         string         `json:"incident_id"`
	CreatedAt          time.Time      `json:"created_at"`
	UpdatedAt          time.Time      `json:"updated_at"`
	DisplayAt          time.Time      `json:"display_at"`
	AffectedComponents []affectedJSON `json:"affected_components"`
}

type affectedJSON struct {
	Code      string `json:"code"`
	Name      string `json:"name"`
	OldStatus string `json:"old_status"`
	NewStatus string `json:"new_status"`
}

func (m moment) incidentsJSON(all []*incident.Incident) []incidentJSON {
	out := []incidentJSON{}
	components := m.components()
	for _, i := range all {
		j := incidentJSON{
			ID: i.ID, Name: i.Name(), Status: string(i.State), CreatedAt: i.Wall(i.Opened).UTC(), UpdatedAt: i.Wall(i.Updated).UTC(), ResolvedAt: optional(i.Wall(i.Resolved)),
			Impact: string(i.Impact), Shortlink: strings.TrimSuffix(m.catalog.Page.URL, "/") + "/incidents/" + i.ID, StartedAt: i.Wall(i.Began).UTC(),
			PageID: id("page", m.catalog.Page.Title), IncidentUpdates: []updateJSON{}, Components: []componentJSON{},
		}
		for _, u := range slices.Backward(i.Updates) {
			j.IncidentUpdates = append(j.IncidentUpdates, newUpdateJSON(i, u))
		}
		for _, c := range components {
			if affects(i, c) {
				j.Components = append(j.Components, c)
			}
		}
		out = append(out, j)
	}
	return out
}

func newUpdateJSON(i *incident.Incident, u incident.Update) updateJSON {
	at := i.Wall(u.At).UTC()
	out := updateJSON{
		ID: id("update", i.ID, u.ID), Status: string(u.State), Body: u.Body, IncidentID: i.ID, CreatedAt: at, UpdatedAt: at,
		DisplayAt: at, AffectedComponents: []affectedJSON{},
	}
	if u.Check != "" {
		was, _ := describe(statusOf(u.Was), "", "")
		is, _ := describe(statusOf(u.Verdict), "", "")
		out.AffectedComponents = append(out.AffectedComponents, affectedJSON{id("check", u.Host, u.Check), u.Host + " - " + u.Check, was, is})
	}
	return out
}

// affects reports whether the component is a host of the incident, or one of the checks that failed.
func affects(i *incident.Incident, c componentJSON) bool {
	return slices.ContainsFunc(i.Hosts, func(h incident.Host) bool {
		return c.ID == id("host", h.Name) || slices.ContainsFunc(h.Windows, func(w incident.Window) bool { return c.ID == id("check", h.Name, w.Check) })
	})
}

const incidentsMax = 50 // as many as Statuspage lists

// incidents answers a part of /api/v2 that tells of incidents since a time.
func (s *site) incidents(since func() time.Time, part func(m moment, incidents []incidentJSON) map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all, err := s.view.incidents(r.Context(), since(), incidentsMax)
		if err != nil {
			s.fail(w, err)
			return
		}
		m := s.moment()
		out := part(m, m.incidentsJSON(all))
		out["page"] = m.pageJSON()
		writeJSON(w, out)
	}
}

// incidentOf is the id in the path of an incident's page.
func incidentOf(path string) (id string, ok bool) {
	id, ok = strings.CutPrefix(path, "/incidents/")
	return id, ok && id != ""
}

// measured is a window in words.
func (w windowView) Measured() string {
	if w.To.IsZero() {
		return fmt.Sprintf("%s %s since %s", w.Check, strings.ToLower(w.Word), clock(w.From))
	}
	return fmt.Sprintf("%s %s for %s, from %s to %s", w.Check, strings.ToLower(w.Word), w.Lasted, clock(w.From), clock(w.To))
}

func clock(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }
