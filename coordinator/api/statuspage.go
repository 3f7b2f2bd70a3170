package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The shapes of /api/v2 are those of Atlassian Statuspage's public API, so that programs that read one of its pages can
// read ours. Statuspage documents them at /api of each customer's page.

// statuspage answers the addresses of /api/v2.
type statuspage struct {
	view    *web.View
	ready   *web.Answers
	changed *changeTimes
}

// routes lists its addresses.
func (p statuspage) routes() []web.Route {
	kept := func(h web.HandlerFunc) web.HandlerFunc { return p.ready.Ready(web.ByPath, h) }
	first := func(h web.HandlerFunc) web.HandlerFunc { return p.ready.Ready(web.WithoutQuery, h) } // page of a list
	return append([]web.Route{
		{Pattern: "GET /api/v2/summary.json", Handler: kept(p.summary)},
		{Pattern: "GET /api/v2/status.json", Handler: kept(p.status)},
		{Pattern: "GET /api/v2/components.json", Handler: kept(p.components)},
		{Pattern: "GET /api/v2/incidents.json", Handler: first(p.incidents)},
		{Pattern: "GET /api/v2/incidents/unresolved.json", Handler: first(p.unresolved)},
		{Pattern: "GET /api/v2/incidents/{id}", Handler: kept(p.incident)},
		{Pattern: "GET /api/v2/history.json", Handler: first(p.history)},
	}, maintenances{p}.routes(kept)...)
}

type pageJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	URL       string `json:"url"`
	TimeZone  string `json:"time_zone"`
	UpdatedAt millis `json:"updated_at"`
}

type statusJSON struct {
	Indicator   string `json:"indicator"` // none, minor, major or critical
	Description string `json:"description"`
}

type componentJSON struct {
	ID                 string   `json:"id"`
	Name               string   `json:"name"`
	Status             string   `json:"status"`
	CreatedAt          *millis  `json:"created_at"` // when it came into the catalog
	UpdatedAt          *millis  `json:"updated_at"` // when its status, its name or its description changed last
	Position           int      `json:"position"`
	Description        *string  `json:"description"`
	Showcase           bool     `json:"showcase"`
	StartDate          *string  `json:"start_date"`
	GroupID            *string  `json:"group_id"`
	PageID             string   `json:"page_id"`
	Group              bool     `json:"group"`
	OnlyShowIfDegraded bool     `json:"only_show_if_degraded"`
	Components         []string `json:"components,omitempty"`
}

// summary answers with everything at once, which is what most programs poll.
func (p statuspage) summary(w http.ResponseWriter, r *http.Request) error {
	unresolved, err := p.view.Incidents(r.Context(), farFuture(), incidentsMax)
	if err != nil {
		return err
	}
	s := current(p.view.State())
	components, err := p.allComponents(r.Context(), s)
	if err != nil {
		return err
	}
	part := map[string]any{
		"components": components, "incidents": newIncidents(s, components, unresolved), "status": newStatus(s, unresolved),
	}
	if err := (maintenances{p}).add(r.Context(), s, components, part); err != nil {
		return err
	}
	return p.writePart(w, r, s, part)
}

func (p statuspage) status(w http.ResponseWriter, r *http.Request) error {
	open, err := p.view.Open(r.Context())
	if err != nil {
		return err
	}
	s := current(p.view.State())
	return p.writePart(w, r, s, map[string]any{"status": newStatus(s, open)})
}

func (p statuspage) components(w http.ResponseWriter, r *http.Request) error {
	s := current(p.view.State())
	components, err := p.allComponents(r.Context(), s)
	if err != nil {
		return err
	}
	return p.writePart(w, r, s, map[string]any{"components": components})
}

// farFuture is a time before which every resolved incident was resolved: since then only open ones are left.
func farFuture() time.Time { return time.Now().AddDate(100, 0, 0) }

// writePart answers with part of the page's status, and with the page, which every answer of Statuspage has.
func (p statuspage) writePart(w http.ResponseWriter, r *http.Request, s web.State, part map[string]any) error {
	newest, err := p.view.Incidents(r.Context(), time.Time{}, incidentsMax)
	if err != nil {
		return err
	}
	planned, err := maintenances{p}.read(r.Context(), s)
	if err != nil {
		return err
	}
	components, err := p.allComponents(r.Context(), s)
	if err != nil {
		return err
	}
	part["page"] = pageJSON{
		ID: pageID(s), Name: s.Catalog.Page.Title, URL: s.Catalog.Page.URL, TimeZone: "Etc/UTC",
		UpdatedAt: millis(pageUpdated(s, components, newest, planned)),
	}
	return web.WriteJSON(w, http.StatusOK, part)
}

// stableID makes an id of twelve letters and digits, as Statuspage's are, that stays the same for the same parts.
func stableID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

func pageID(s web.State) string { return stableID("page", s.Catalog.Page.Title) }

// hostID returns the component id of the host that has the name, or had it last.
func hostID(s web.State, name string) string {
	if h := s.Catalog.HostOnceNamed(name); h != nil {
		return h.Identity()
	}
	return catalog.FirstHostID(name)
}

// checkID is hostID of a check.
func checkID(s web.State, host, name string) string {
	h := s.Catalog.HostOnceNamed(host)
	if h == nil {
		return catalog.FirstCheckID(host, name)
	}
	if c := s.Catalog.CheckOnceNamed(h, name); c != nil {
		return h.IdentityOf(c)
	}
	return catalog.FirstCheckID(h.Name, name)
}

// current returns the state for answers about the present. If it is out of date, every status in it is unknown, since
// programs do not compare a status with the time beside it.
func current(s web.State) web.State {
	if !s.OutOfDate() {
		return s
	}
	snapshot := *s.Snapshot
	snapshot.Hosts = slices.Clone(snapshot.Hosts)
	sentence := "Unknown: last heard at " + snapshot.At.UTC().Format("15:04 UTC.")
	for i := range snapshot.Hosts {
		h := &snapshot.Hosts[i]
		h.Status, h.Sentence, h.Checks = mesh.StatusUnknown, sentence, slices.Clone(h.Checks)
		for n := range h.Checks {
			h.Checks[n].Verdict, h.Checks[n].Sentence, h.Checks[n].Maintenance = mesh.Unknown, sentence, ""
		}
	}
	s.Snapshot = &snapshot
	return s
}

// newStatus is the page's status: that of the host that is worst off, or of the worst impact that people gave an open
// incident. Descriptions are Statuspage's own.
func newStatus(s web.State, open []*incident.Incident) statusJSON {
	worst := s.Overall(open).Status
	switch worst {
	case mesh.Operational:
		return statusJSON{"none", "All Systems Operational"}
	case mesh.UnderMaintenance:
		return statusJSON{"maintenance", "Service Under Maintenance"}
	case mesh.PartialOutage:
		return statusJSON{"major", "Partial System Outage"}
	case mesh.MajorOutage:
		return statusJSON{"critical", "Major System Outage"}
	case mesh.StatusUnknown:
		hosts := s.Hosts()
		i := slices.IndexFunc(hosts, func(h mesh.HostState) bool { return h.Status == worst })
		if i < 0 {
			return statusJSON{"minor", "Unknown: no system is watched yet"}
		}
		return statusJSON{"minor", "Unknown: the status of " + hosts[i].Name + " is not known"}
	}
	return statusJSON{"minor", "Minor Service Outage"}
}

// verdictStatus is the verdict of a single check as a status.
func verdictStatus(v mesh.Verdict) mesh.Status {
	switch v {
	case mesh.Up:
		return mesh.Operational
	case mesh.Degraded:
		return mesh.DegradedPerformance
	case mesh.Partial:
		return mesh.PartialOutage
	case mesh.Down:
		return mesh.MajorOutage
	}
	return mesh.StatusUnknown
}

// describe returns a component's status and description as Statuspage has them. It has no status for unknown: that is
// degraded performance there, and the description is the sentence, after "Unknown:".
func describe(s mesh.Status, description, sentence string) (string, *string) {
	if s != mesh.StatusUnknown {
		return string(s), &description
	}
	if sentence == "" {
		sentence = "there are no results yet"
	}
	unknown := "Unknown: " + strings.TrimPrefix(sentence, "Unknown: ")
	return string(mesh.DegradedPerformance), &unknown
}
