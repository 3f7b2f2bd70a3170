package api

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
)

// incidentsMax is how many incidents Statuspage lists.
const incidentsMax = 50

type incidentJSON struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Status          string          `json:"status"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
	MonitoringAt    *time.Time      `json:"monitoring_at"` // null: nobody watches a fix yet
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

// newIncidents returns incidents with their components as they are now, which is what Statuspage shows too.
func newIncidents(s web.State, all []*incident.Incident) []incidentJSON {
	out := []incidentJSON{}
	components := newComponents(s)
	for _, i := range all {
		j := incidentJSON{
			ID: i.ID, Name: i.Name(), Status: string(i.State), Impact: string(i.Impact), PageID: pageID(s),
			StartedAt: i.Wall(i.Began).UTC(), CreatedAt: i.Wall(i.Opened).UTC(), UpdatedAt: i.Wall(i.Updated).UTC(),
			ResolvedAt:      optional(i.Wall(i.Resolved)),
			Shortlink:       strings.TrimSuffix(s.Catalog.Page.URL, "/") + "/incidents/" + i.ID,
			IncidentUpdates: []updateJSON{}, Components: []componentJSON{},
		}
		for _, u := range slices.Backward(i.Updates) {
			j.IncidentUpdates = append(j.IncidentUpdates, newUpdate(s, i, u))
		}
		for _, c := range components {
			if affects(s, i, c) {
				j.Components = append(j.Components, c)
			}
		}
		out = append(out, j)
	}
	return out
}

// newUpdate returns an update. Those about a host as a whole affect no component, as Statuspage's lists checks only.
func newUpdate(s web.State, i *incident.Incident, u incident.Update) updateJSON {
	at := i.Wall(u.At).UTC()
	parts := u.Parts()
	out := updateJSON{
		ID: updateID(i, u.ID), Status: string(u.State), Body: i.Text(u), IncidentID: i.ID, CreatedAt: at,
		UpdatedAt: i.Wall(parts[len(parts)-1].At).UTC(), DisplayAt: at, AffectedComponents: []affectedJSON{},
	}
	for _, part := range parts {
		if part.Check == "" {
			continue
		}
		from, _ := describe(verdictStatus(part.Was), "", "")
		to, _ := describe(verdictStatus(part.Verdict), "", "")
		out.AffectedComponents = append(out.AffectedComponents, affectedJSON{
			checkID(s, s.Spelled(part.Host), part.Check), part.Host + " - " + part.Check, from, to,
		})
	}
	return out
}

// affects reports whether a component is a host of the incident, or one of the checks that failed.
func affects(s web.State, i *incident.Incident, c componentJSON) bool {
	return slices.ContainsFunc(i.Hosts, func(h incident.Host) bool {
		name := s.Spelled(h.Name)
		return c.ID == hostID(s, name) || slices.ContainsFunc(h.Windows, func(w incident.Window) bool {
			return c.ID == checkID(s, name, w.Check)
		})
	})
}
