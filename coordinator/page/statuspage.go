package page

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The shapes of /api/v2 are those of Atlassian Statuspage's public status API, so that what reads that reads this.
// https://www.atlassian.com/software/statuspage documents them at each customer's /api.

type pageJSON struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	URL       string    `json:"url"`
	TimeZone  string    `json:"time_zone"`
	UpdatedAt time.Time `json:"updated_at"`
}

type statusJSON struct {
	Indicator   string `json:"indicator"` // none, minor, major or critical
	Description string `json:"description"`
}

type componentJSON struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	Status             string    `json:"status"`
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
	Position           int       `json:"position"`
	Description        *string   `json:"description"`
	Showcase           bool      `json:"showcase"`
	StartDate          *string   `json:"start_date"`
	GroupID            *string   `json:"group_id"`
	PageID             string    `json:"page_id"`
	Group              bool      `json:"group"`
	OnlyShowIfDegraded bool      `json:"only_show_if_degraded"`
	Components         []string  `json:"components,omitempty"`
}

// statuspage are the addresses of /api/v2. Maintenance is an empty list until there is some.
func (s *site) statuspage() (routes []route) {
	none := []struct{}{}
	for path, part := range map[string]func(moment) map[string]any{
		"status":                          func(m moment) map[string]any { return map[string]any{"status": m.overall()} },
		"components":                      func(m moment) map[string]any { return map[string]any{"components": m.components()} },
		"scheduled-maintenances":          func(moment) map[string]any { return map[string]any{"scheduled_maintenances": none} },
		"scheduled-maintenances/upcoming": func(moment) map[string]any { return map[string]any{"scheduled_maintenances": none} },
		"scheduled-maintenances/active":   func(moment) map[string]any { return map[string]any{"scheduled_maintenances": none} },
	} {
		routes = append(routes, route{"GET /api/v2/" + path + ".json", func(w http.ResponseWriter, _ *http.Request) {
			m := s.moment()
			out := part(m)
			out["page"] = m.pageJSON()
			writeJSON(w, out)
		}})
	}
	list := func(_ moment, incidents []incidentJSON) map[string]any { return map[string]any{"incidents": incidents} }
	always := func() time.Time { return time.Time{} }
	summary := func(m moment, incidents []incidentJSON) map[string]any {
		return map[string]any{"components": m.components(), "incidents": incidents, "scheduled_maintenances": none, "status": m.overall()}
	}
	return append(routes,
		route{"GET /api/v2/incidents.json", s.incidents(always, list)},
		route{"GET /api/v2/incidents/unresolved.json", s.incidents(unresolved, list)},
		route{"GET /api/v2/summary.json", s.incidents(unresolved, summary)},
	)
}

// id is a stable name for something, of twelve letters and digits like Statuspage's.
func id(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

func (m moment) pageJSON() pageJSON {
	return pageJSON{ID: id("page", m.catalog.Page.Title), Name: m.catalog.Page.Title, URL: m.catalog.Page.URL, TimeZone: "Etc/UTC", UpdatedAt: m.snapshot.At.UTC()}
}

func (m moment) overall() statusJSON {
	indicator, description := "none", "All Systems Operational"
	rank := 0
	for _, h := range m.hosts() {
		switch h.Status {
		case mesh.MajorOutage:
			if rank < 3 {
				rank, indicator, description = 3, "critical", "Major System Outage"
			}
		case mesh.PartialOutage:
			if rank < 2 {
				rank, indicator, description = 2, "major", "Partial System Outage"
			}
		case mesh.Operational:
		case mesh.StatusUnknown:
			if rank < 1 {
				rank, indicator, description = 1, "minor", "Unknown: the status of "+h.Name+" cannot be told"
			}
		default:
			if rank < 1 {
				rank, indicator, description = 1, "minor", "Minor Service Outage"
			}
		}
	}
	return statusJSON{indicator, description}
}

// components are a group for each host with a component for each of its checks.
func (m moment) components() []componentJSON {
	out := []componentJSON{}
	page := id("page", m.catalog.Page.Title)
	for _, h := range m.hosts() {
		group := componentJSON{
			ID: id("host", h.Name), Name: h.Name, Status: string(h.Status), CreatedAt: h.Since.UTC(), UpdatedAt: h.Since.UTC(),
			Position: len(out) + 1, PageID: page, Group: true, Components: []string{},
		}
		words := strings.TrimPrefix(m.catalog.Host(mesh.Key(h.Name)).Role+", "+m.city(h.Region), ", ")
		group.Status, group.Description = describe(h.Status, words, h.Sentence)
		at := len(out)
		out = append(out, group)
		for i, c := range h.Checks {
			member := componentJSON{
				ID: id("check", h.Name, c.Name), Name: c.Name, CreatedAt: c.Since.UTC(), UpdatedAt: c.Since.UTC(), Position: i + 1,
				PageID: page, GroupID: &group.ID,
			}
			member.Status, member.Description = describe(statusOf(c.Verdict), c.Sentence, c.Sentence)
			out[at].Components = append(out[at].Components, member.ID)
			out = append(out, member)
		}
	}
	return out
}

// statusOf is a single check's verdict as a status.
func statusOf(v mesh.Verdict) mesh.Status {
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

// describe gives a status in Statuspage's words, which has none for unknown: it is degraded performance there, and the
// description says what it is.
func describe(s mesh.Status, words, sentence string) (string, *string) {
	if s != mesh.StatusUnknown {
		return string(s), &words
	}
	if sentence == "" {
		sentence = "nothing is known yet"
	}
	unknown := fmt.Sprintf("Unknown: %s", strings.TrimPrefix(sentence, "Unknown: "))
	return string(mesh.DegradedPerformance), &unknown
}
