package editorial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

const (
	remindEvery = 2 * time.Second
	// remindBefore is how long before a promised update operators are reminded: at most a quarter of the time that
	// the promise gave them.
	remindBefore = 5 * time.Minute
)

// Remind warns operators of promised updates that are due or late, and of incidents that wait to be resolved, until ctx
// ends. It returns nil then.
func (e IncidentEditor) Remind(ctx context.Context) error {
	ticker := time.NewTicker(remindEvery)
	defer ticker.Stop()
	warned := map[string]string{}
	for {
		now, _ := e.editor.config.Clock()
		open, err := e.editor.config.Incidents.Incidents(ctx, view.IncidentQuery{
			Since: now.AddDate(100, 0, 0), Limit: view.IncidentsMax,
		})
		if err == nil { // else the view is closing, or the next turn reads it
			next := reminders(open, now)
			for _, subject := range slices.Sorted(maps.Keys(warned)) {
				if next[subject] == "" {
					e.editor.config.Warn(subject, "")
				}
			}
			for _, subject := range slices.Sorted(maps.Keys(next)) {
				e.editor.config.Warn(subject, next[subject])
			}
			warned = next
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// reminders returns what operators must be reminded of, by subject. That an update is due and that it is late are two:
// a route that names the advisory "overdue" sends a message about each.
func reminders(open []*incident.Incident, now time.Time) map[string]string {
	out := map[string]string{}
	for _, i := range open {
		name := fmt.Sprintf("incident %s (%s)", i.ID, i.Name())
		if since, ok := i.Proposed(); ok {
			out["incident-resolve-"+i.ID] = fmt.Sprintf(
				"%s: everything has worked since %s: `coordinator incident resolve %s`", name, clock(i.Wall(since)), i.ID)
		}
		if i.NextUpdate.IsZero() {
			continue
		}
		due := clock(i.PromisedAt())
		switch before := min(remindBefore, i.Promised()/4); {
		case i.Overdue(now):
			out["next-update-overdue-"+i.ID] = fmt.Sprintf(
				"%s: the next update is overdue; it was promised by %s: `coordinator incident update %s`", name, due, i.ID)
		case !now.Add(before).Before(i.NextUpdate):
			out["next-update-due-"+i.ID] = fmt.Sprintf("%s: the next update is due by %s", name, due)
		}
	}
	return out
}
