package api

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// allComponents returns every host with its checks.
func (p statuspage) allComponents(ctx context.Context, s web.State) ([]componentJSON, error) {
	dates, err := p.view.Components(ctx)
	if err != nil {
		return nil, err
	}
	planned, err := maintenances{p}.read(ctx, s)
	if err != nil {
		return nil, err
	}
	out := newComponents(current(s), dates, planned)
	p.changed.advance(out)
	return out, nil
}

// changeTimes are when components changed last, as this process reported it. It is safe for concurrent use.
type changeTimes struct {
	mu     sync.Mutex
	latest map[string]time.Time // by the component's id
}

// advance keeps the times of components from going backwards: a catalog may take a check away whose change was the last
// one of its host.
func (t *changeTimes) advance(components []componentJSON) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]time.Time, len(components)) // without components that are gone
	for n := range components {
		c := &components[n]
		at := t.latest[c.ID]
		if c.UpdatedAt != nil {
			at = later(at, time.Time(*c.UpdatedAt))
		}
		next[c.ID], c.UpdatedAt = at, optionalMillis(at)
	}
	t.latest = next
}

// maintained returns when a maintenance that covers a check of a host, or for "" the host, began or ended last.
func maintained(planned web.Occurrences, host, check string) (last time.Time) {
	for _, o := range planned.Active {
		if o.Of.Covers(host, check) {
			last = later(last, o.Start)
		}
	}
	for _, o := range planned.Past {
		if o.State == maintenance.Completed && o.Of.Covers(host, check) {
			last = later(last, o.End)
		}
	}
	return last
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// newComponents returns a group for each host, followed by a component for each of its checks. dates are when they came
// into the catalog, by their ids.
func newComponents(s web.State, dates map[string]ledger.Component, planned web.Occurrences) []componentJSON {
	out := []componentJSON{}
	for _, h := range s.Hosts() {
		group := componentJSON{
			ID: hostID(s, h.Name), Name: h.Name,
			Position: len(out) + 1, PageID: pageID(s), Group: true, Components: []string{},
		}
		role := strings.TrimPrefix(s.Catalog.Host(mesh.Key(h.Name)).Role+", "+s.City(h.Region), ", ")
		group.Status, group.Description = describe(h.Status, role, h.Sentence)
		group.date(dates, later(h.Since, maintained(planned, group.ID, "")))
		at := len(out)
		out = append(out, group)
		for i, c := range h.Checks {
			component := componentJSON{
				ID: checkID(s, h.Name, c.Name), Name: c.Name,
				Position: i + 1, PageID: group.PageID, GroupID: &group.ID,
			}
			component.Status, component.Description = describe(verdictStatus(c.Verdict), c.Sentence, c.Sentence)
			if c.Maintenance != "" { // whatever was measured
				under := "Under maintenance"
				component.Status, component.Description = string(mesh.UnderMaintenance), &under
			}
			component.date(dates, later(c.Since, maintained(planned, group.ID, component.ID)))
			out[at].Components = append(out[at].Components, component.ID)
			out = append(out, component)
		}
	}
	return out
}

// date sets when the component came into the catalog, and when it changed last. since is when its status began.
func (c *componentJSON) date(dates map[string]ledger.Component, since time.Time) {
	known := dates[c.ID]
	c.CreatedAt = optionalMillis(known.Added)
	c.UpdatedAt = optionalMillis(later(since, known.Changed)) // also of one without results
}
