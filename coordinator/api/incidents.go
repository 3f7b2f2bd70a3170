package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/markdown"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// incidentsMax is how many incidents Statuspage lists on a page.
	incidentsMax = 50
	readAtOnce   = 500
	historyMax   = 10_000 // incidents of the months of one page of the history
	perPageMax   = 100
	pagesMax     = 1000
)

type incidentJSON struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Status          string          `json:"status"`
	CreatedAt       millis          `json:"created_at"`
	UpdatedAt       millis          `json:"updated_at"`
	MonitoringAt    *millis         `json:"monitoring_at"` // null: nobody watched a fix
	ResolvedAt      *millis         `json:"resolved_at"`
	Impact          string          `json:"impact"`
	Shortlink       string          `json:"shortlink"`
	StartedAt       millis          `json:"started_at"`
	PageID          string          `json:"page_id"`
	IncidentUpdates []updateJSON    `json:"incident_updates"` // newest first
	Components      []componentJSON `json:"components"`
}

type updateJSON struct {
	ID                   string         `json:"id"`
	Status               string         `json:"status"`
	Body                 string         `json:"body"`
	IncidentID           string         `json:"incident_id"`
	CreatedAt            millis         `json:"created_at"`
	UpdatedAt            millis         `json:"updated_at"`
	DisplayAt            millis         `json:"display_at"`
	AffectedComponents   []affectedJSON `json:"affected_components"`
	DeliverNotifications bool           `json:"deliver_notifications"`
	CustomTweet          *string        `json:"custom_tweet"` // always null
	TweetID              *string        `json:"tweet_id"`     // always null
}

type affectedJSON struct {
	Code      string `json:"code"`
	Name      string `json:"name"`
	OldStatus string `json:"old_status"`
	NewStatus string `json:"new_status"`
}

// millis is a time as Statuspage writes it: to the millisecond.
type millis time.Time

// MarshalJSON writes the time in UTC.
func (m millis) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(m).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// optionalMillis is null for the zero time.
func optionalMillis(t time.Time) *millis {
	if t.IsZero() {
		return nil
	}
	m := millis(t)
	return &m
}

func (p statuspage) incidents(w http.ResponseWriter, r *http.Request) error {
	return p.writeIncidents(w, r, time.Time{})
}

func (p statuspage) unresolved(w http.ResponseWriter, r *http.Request) error {
	return p.writeIncidents(w, r, farFuture())
}

// writeIncidents answers with a page of the incidents that were not resolved before the time.
func (p statuspage) writeIncidents(w http.ResponseWriter, r *http.Request, since time.Time) error {
	page, perPage, err := pagination(r, incidentsMax, perPageMax)
	if err != nil {
		return err
	}
	all, err := p.view.FindIncidents(r.Context(), incident.Query{
		Since: since, Limit: perPage, Offset: (page - 1) * perPage,
	})
	if err != nil {
		return err
	}
	s := p.view.State()
	components, err := p.allComponents(r.Context(), s)
	if err != nil {
		return err
	}
	return p.writePart(w, r, s, map[string]any{"incidents": newIncidents(s, components, all)})
}

// pagination reads the page, from 1, and how many entries one has.
func pagination(r *http.Request, usual, most int) (page, perPage int, err error) {
	page, perPage = 1, usual
	for _, one := range []struct {
		key  string
		most int
		into *int
	}{{"page", pagesMax, &page}, {"per_page", most, &perPage}, {"limit", most, &perPage}} {
		text := r.FormValue(one.key)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > one.most {
			return 0, 0, web.Errorf(http.StatusBadRequest, "%s=%q: write a number from 1 to %d", one.key, text, one.most)
		}
		*one.into = n
	}
	return page, perPage, nil
}

// incident answers with one incident. One that another incident continues leads there.
func (p statuspage) incident(w http.ResponseWriter, r *http.Request) error {
	id := strings.TrimSuffix(r.PathValue("id"), ".json")
	i, err := p.view.Incident(r.Context(), id)
	switch {
	case err != nil:
		return err
	case i == nil:
		return web.Errorf(http.StatusNotFound, "no incident %q: /api/v2/incidents.json lists them", id)
	case i.Merged != "":
		http.Redirect(w, r, "/api/v2/incidents/"+i.Merged+".json", http.StatusMovedPermanently)
		return nil
	}
	s := p.view.State()
	components, err := p.allComponents(r.Context(), s)
	if err != nil {
		return err
	}
	return p.writePart(w, r, s, map[string]any{
		"incident": newIncidents(s, components, []*incident.Incident{i})[0],
	})
}

// monthsShown is how many months one page of the history has.
const monthsShown = 3

type monthJSON struct {
	Name      string       `json:"name"`
	Year      int          `json:"year"`
	StartsOn  int          `json:"starts_on"` // the weekday of its first day, from Sunday: 0
	Days      int          `json:"days"`
	Incidents []recentJSON `json:"incidents"` // newest first
}

type recentJSON struct {
	Code      string `json:"code"`
	Name      string `json:"name"`
	Message   string `json:"message"` // the latest update
	Impact    string `json:"impact"`
	Timestamp string `json:"timestamp"`
}

// history answers with the incidents of three months, by month.
func (p statuspage) history(w http.ResponseWriter, r *http.Request) error {
	page, _, err := pagination(r, incidentsMax, perPageMax)
	if err != nil {
		return err
	}
	s := p.view.State()
	now := s.Snapshot.At.UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -monthsShown*(page-1), 0)
	// A day more on each side: the clock's offset was another one then.
	all, err := p.openedBetween(r.Context(), first.AddDate(0, 1-monthsShown, -1), first.AddDate(0, 1, 1))
	if err != nil {
		return err
	}
	months := []monthJSON{}
	for n := range monthsShown {
		begin := first.AddDate(0, -n, 0)
		months = append(months, newMonth(begin, all))
	}
	return p.writePart(w, r, s, map[string]any{"months": months})
}

// openedBetween returns the incidents that were opened in a period, newest first.
func (p statuspage) openedBetween(ctx context.Context, from, until time.Time) (all []*incident.Incident, err error) {
	for len(all) < historyMax {
		more, err := p.view.FindIncidents(ctx, incident.Query{
			From: from, Until: until, Limit: readAtOnce, Offset: len(all),
		})
		if all = append(all, more...); err != nil || len(more) < readAtOnce {
			return all, err
		}
	}
	return all, nil
}

func newMonth(begin time.Time, all []*incident.Incident) monthJSON {
	end := begin.AddDate(0, 1, 0)
	m := monthJSON{
		Name: begin.Month().String(), Year: begin.Year(), StartsOn: int(begin.Weekday()),
		Days: end.AddDate(0, 0, -1).Day(), Incidents: []recentJSON{},
	}
	for _, i := range all {
		at := i.Wall(i.Opened).UTC()
		if at.Before(begin) || !at.Before(end) {
			continue
		}
		recent := recentJSON{Code: i.ID, Name: i.Name(), Impact: string(i.Impact), Timestamp: at.Format("Jan 2, 15:04")}
		if until := i.Wall(i.Resolved).UTC(); !i.Open() {
			recent.Timestamp += " - " + until.Format("Jan 2, 15:04")
		}
		recent.Timestamp += " UTC"
		if moments := i.Timeline(); len(moments) > 0 {
			recent.Message = bodyOf(i, moments[len(moments)-1])
		}
		m.Incidents = append(m.Incidents, recent)
	}
	return m
}

// newIncidents returns incidents with their components as they are now, which is what Statuspage shows too.
func newIncidents(s web.State, components []componentJSON, all []*incident.Incident) []incidentJSON {
	out := []incidentJSON{}
	for _, i := range all {
		j := incidentJSON{
			ID: i.ID, Name: i.Name(), Status: string(i.State), Impact: string(i.Impact), PageID: pageID(s),
			StartedAt: millis(i.Wall(i.Began)), CreatedAt: millis(i.Wall(i.Opened)), UpdatedAt: millis(i.Wall(i.Updated)),
			MonitoringAt: monitoringAt(i), Shortlink: strings.TrimSuffix(s.Catalog.Page.URL, "/") + "/incidents/" + i.ID,
			IncidentUpdates: []updateJSON{}, Components: []componentJSON{},
		}
		if !i.Open() {
			j.ResolvedAt = optionalMillis(i.Wall(i.Resolved))
		}
		for _, m := range slices.Backward(i.Timeline()) {
			j.IncidentUpdates = append(j.IncidentUpdates, newUpdate(s, i, m))
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

// monitoringAt is since when people watch the fix; nil if they do not, or did not before it was resolved.
func monitoringAt(i *incident.Incident) (since *millis) {
	for _, m := range i.Timeline() {
		switch {
		case m.State == incident.Investigating || m.State == incident.Identified:
			since = nil
		case m.State == incident.Monitoring && since == nil:
			since = optionalMillis(m.At)
		}
	}
	return since
}

// newUpdate returns an update. Those about a host as a whole, or that people wrote, affect no component.
func newUpdate(s web.State, i *incident.Incident, m incident.Moment) updateJSON {
	out := updateJSON{
		ID: updateID(i, m), Status: string(m.State), Body: bodyOf(i, m), IncidentID: i.ID, CreatedAt: millis(m.At),
		UpdatedAt: millis(m.At), DisplayAt: millis(m.At), AffectedComponents: []affectedJSON{},
	}
	if m.Measured == nil {
		if corrected := m.Written.Corrected(); !corrected.IsZero() {
			out.UpdatedAt = millis(corrected)
		}
		return out
	}
	parts := m.Measured.Parts()
	out.UpdatedAt = millis(i.Wall(parts[len(parts)-1].At))
	for _, part := range parts {
		if part.Check == "" {
			continue
		}
		from, _ := describe(verdictStatus(part.Was), "", "")
		if part.Was == part.Verdict { // it failed before, under a maintenance
			from = string(mesh.UnderMaintenance)
		}
		to, _ := describe(verdictStatus(part.Verdict), "", "")
		out.AffectedComponents = append(out.AffectedComponents, affectedJSON{
			checkID(s, s.Spelled(part.Host), part.Check), part.Host + " - " + part.Check, from, to,
		})
	}
	return out
}

// bodyOf is the text of a moment without markup: programs show it as it is.
func bodyOf(i *incident.Incident, m incident.Moment) string {
	if m.Plain() {
		return m.Text(i)
	}
	return markdown.Plain(m.Text(i))
}

// updateID is the id of an update. It stays the same when its incident is continued in another one.
func updateID(i *incident.Incident, m incident.Moment) string {
	if m.Written != nil {
		return stableID("update", m.Written.ID)
	}
	return stableID("update", cmp.Or(m.Measured.Of, i.ID), m.Measured.ID)
}

// affects reports whether a component is a host of the incident, or one of the checks that failed or that a person
// named.
func affects(s web.State, i *incident.Incident, c componentJSON) bool {
	return slices.ContainsFunc(i.Hosts, func(h incident.Host) bool {
		name := s.Spelled(h.Name)
		return c.ID == hostID(s, name) || slices.ContainsFunc(h.Windows, func(w incident.Window) bool {
			return c.ID == checkID(s, name, w.Check)
		}) || slices.ContainsFunc(h.Checks, func(n incident.Named) bool { return c.ID == checkID(s, name, n.Name) })
	})
}

// pageUpdated is when something of the page changed last: a component, an incident or a maintenance.
func pageUpdated(
	s web.State, components []componentJSON, newest []*incident.Incident, planned web.Occurrences,
) (last time.Time) {
	later := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, c := range components {
		if c.UpdatedAt != nil {
			later(time.Time(*c.UpdatedAt))
		}
	}
	for _, i := range newest {
		later(i.Wall(i.Updated))
	}
	for _, o := range slices.Concat(planned.Active, planned.Upcoming, planned.Past) {
		for _, u := range o.Updates {
			later(u.Changed())
		}
	}
	if last.IsZero() { // nothing is known yet
		return s.Snapshot.At.Truncate(time.Minute)
	}
	return last
}
