package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// maintenancesMax is how many maintenances Statuspage lists.
const maintenancesMax = 50

type maintenanceJSON struct {
	ID              string                  `json:"id"`
	Name            string                  `json:"name"`
	Status          string                  `json:"status"` // scheduled, in_progress, verifying or completed
	CreatedAt       millis                  `json:"created_at"`
	UpdatedAt       millis                  `json:"updated_at"`
	MonitoringAt    *millis                 `json:"monitoring_at"` // always null
	ResolvedAt      *millis                 `json:"resolved_at"`
	Impact          string                  `json:"impact"`
	Shortlink       string                  `json:"shortlink"`
	StartedAt       millis                  `json:"started_at"`
	PageID          string                  `json:"page_id"`
	IncidentUpdates []maintenanceUpdateJSON `json:"incident_updates"` // newest first
	Components      []componentJSON         `json:"components"`
	ScheduledFor    millis                  `json:"scheduled_for"`
	ScheduledUntil  millis                  `json:"scheduled_until"`
}

type maintenanceUpdateJSON struct {
	ID                 string         `json:"id"`
	Status             string         `json:"status"`
	Body               string         `json:"body"`
	IncidentID         string         `json:"incident_id"`
	CreatedAt          millis         `json:"created_at"`
	UpdatedAt          millis         `json:"updated_at"`
	DisplayAt          millis         `json:"display_at"`
	AffectedComponents []affectedJSON `json:"affected_components"`
	// Statuspage's own; nobody posts updates elsewhere from here.
	DeliverNotifications bool    `json:"deliver_notifications"`
	CustomTweet          *string `json:"custom_tweet"`
	TweetID              *string `json:"tweet_id"`
}

// maintenanceStatus is a state as Statuspage knows it: what was cancelled is no longer to come.
func maintenanceStatus(s maintenance.State) string {
	if s == maintenance.Cancelled {
		return string(maintenance.Completed)
	}
	return string(s)
}

// maintenances answers with what people planned.
type maintenances struct{ page statuspage }

// read reads the occurrences of all maintenances that are to come, or of the recent past.
func (a maintenances) read(ctx context.Context, s web.State) (web.Occurrences, error) {
	now := s.Wall()
	all, err := a.page.view.Maintenances(ctx, now.AddDate(0, 0, -web.PastMaintenanceDays),
		now.AddDate(maintenance.AheadYears+1, 0, 0))
	return web.OccurrencesOf(all, now), err
}

// add adds the list of maintenances that are in progress or to come to an answer.
func (a maintenances) add(
	ctx context.Context, s web.State, components []componentJSON, part map[string]any,
) error {
	found, err := a.read(ctx, s)
	part["scheduled_maintenances"] = newMaintenances(s, components, found.Active, found.Upcoming)
	return err
}

// list returns a handler that answers with the chosen occurrences.
func (a maintenances) list(choose func(web.Occurrences) [][]web.Occurrence) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		s := a.page.view.State()
		found, err := a.read(r.Context(), s)
		if err != nil {
			return err
		}
		components, err := a.page.allComponents(r.Context(), s)
		if err != nil {
			return err
		}
		return a.page.writePart(w, r, s, map[string]any{
			"scheduled_maintenances": newMaintenances(s, components, choose(found)...),
		})
	}
}

// routes are the addresses of maintenance.
func (a maintenances) routes(kept func(web.HandlerFunc) web.HandlerFunc) []web.Route {
	all := func(o web.Occurrences) [][]web.Occurrence {
		latest := slices.Clone(o.Upcoming)
		slices.Reverse(latest)
		return [][]web.Occurrence{latest, o.Active, o.Past}
	}
	upcoming := func(o web.Occurrences) [][]web.Occurrence { return [][]web.Occurrence{o.Upcoming} }
	active := func(o web.Occurrences) [][]web.Occurrence { return [][]web.Occurrence{o.Active} }
	return []web.Route{
		{Pattern: "GET /api/v2/scheduled-maintenances.json", Handler: kept(a.list(all))},
		{Pattern: "GET /api/v2/scheduled-maintenances/upcoming.json", Handler: kept(a.list(upcoming))},
		{Pattern: "GET /api/v2/scheduled-maintenances/active.json", Handler: kept(a.list(active))},
		{Pattern: "GET /api/v2/scheduled-maintenances/{file}", Handler: kept(a.one)},
	}
}

// one answers with one maintenance, or with one occurrence.
func (a maintenances) one(w http.ResponseWriter, r *http.Request) error {
	id := strings.TrimSuffix(r.PathValue("file"), ".json")
	s := a.page.view.State()
	o, err := a.page.view.MaintenanceOf(r.Context(), id, s.Wall())
	if err != nil {
		return err
	}
	if o == nil {
		return web.Errorf(http.StatusNotFound, "there is no scheduled maintenance with this id")
	}
	components, err := a.page.allComponents(r.Context(), s)
	if err != nil {
		return err
	}
	return a.page.writePart(w, r, s, map[string]any{
		"scheduled_maintenance": newMaintenances(s, components, []web.Occurrence{*o})[0],
	})
}

// newMaintenances returns occurrences as Statuspage has them, at most maintenancesMax.
func newMaintenances(s web.State, components []componentJSON, lists ...[]web.Occurrence) []maintenanceJSON {
	out := []maintenanceJSON{}
	for _, o := range slices.Concat(lists...) {
		if len(out) == maintenancesMax {
			break
		}
		out = append(out, newMaintenance(s, o, components))
	}
	return out
}

func newMaintenance(s web.State, o web.Occurrence, components []componentJSON) maintenanceJSON {
	j := maintenanceJSON{
		ID: o.ID, Name: o.Of.Title(), Status: maintenanceStatus(o.State), Impact: "maintenance", PageID: pageID(s),
		CreatedAt: millis(o.Of.Announced()), UpdatedAt: millis(o.Of.Announced()), StartedAt: millis(o.Start),
		Shortlink:    strings.TrimSuffix(s.Catalog.Page.URL, "/") + "/maintenance/" + o.ID,
		ScheduledFor: millis(o.Start), ScheduledUntil: millis(o.Until),
		IncidentUpdates: []maintenanceUpdateJSON{}, Components: []componentJSON{},
	}
	var affected []affectedJSON
	for _, c := range components {
		if o.Of.Covers(groupOf(c), c.ID) || c.Group && o.Of.Concerns(c.ID) {
			j.Components = append(j.Components, c)
			if !c.Group {
				affected = append(affected, affectedJSON{Code: c.ID, Name: c.Name})
			}
		}
	}
	for _, u := range slices.Backward(o.Updates) {
		at := millis(u.At)
		update := maintenanceUpdateJSON{
			ID: updateIDOf(o.ID, u.ID), Status: maintenanceStatus(u.State), Body: web.UpdatePlain(u),
			IncidentID: o.ID, CreatedAt: at, UpdatedAt: millis(u.Changed()), DisplayAt: at, AffectedComponents: []affectedJSON{},
		}
		before, after := componentStatusOf(u)
		for _, one := range affected {
			one.OldStatus, one.NewStatus = before, after
			update.AffectedComponents = append(update.AffectedComponents, one)
		}
		j.IncidentUpdates = append(j.IncidentUpdates, update)
	}
	if n := len(o.Updates); n > 0 {
		j.UpdatedAt = millis(slices.MaxFunc(o.Updates, func(a, b maintenance.Update) int {
			return a.Changed().Compare(b.Changed())
		}).Changed())
		if o.State == maintenance.Completed || o.State == maintenance.Cancelled {
			at := millis(o.Updates[n-1].At)
			j.ResolvedAt = &at
		}
	}
	return j
}

// groupOf is the id of a component's host.
func groupOf(c componentJSON) string {
	if c.GroupID == nil {
		return c.ID
	}
	return *c.GroupID
}

func updateIDOf(maintenance, id string) string { return stableID("update", maintenance, id) }

// componentStatusOf returns the status of covered components before an update and after it.
func componentStatusOf(u maintenance.Update) (before, after string) {
	const works, maintained = "operational", "under_maintenance"
	switch u.Action {
	case maintenance.Plan, maintenance.Start:
		if u.State.Active() {
			return works, maintained
		}
		return works, works
	case maintenance.Cancel:
		return works, works
	case maintenance.Edit:
		if !u.State.Active() {
			return works, works
		}
	case maintenance.End:
		return maintained, works
	}
	return maintained, maintained
}
