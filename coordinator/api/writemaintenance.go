package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// MaintenanceEditor plans, changes and reads maintenance.
type MaintenanceEditor interface {
	Plan(ctx context.Context, p editorial.MaintenancePlan) (id string, err error)
	Change(ctx context.Context, c editorial.MaintenanceChange) (editorial.MaintenanceEntry, error)
	List(ctx context.Context, since time.Time, limit int) ([]editorial.MaintenanceEntry, error)
	Show(ctx context.Context, id string) (editorial.MaintenanceEntry, error)
}

// maintenancePlan is a maintenance that a client plans.
type maintenancePlan struct {
	Title    string   `json:"title" required:"true" maxLength:"200"`
	Text     string   `json:"text,omitempty" description:"Markdown"`
	Hosts    []string `json:"hosts" required:"true" nullable:"false" description:"as the catalog names them"`
	Checks   []string `json:"checks,omitempty" nullable:"false" description:"of each of the hosts; without them the hosts"`
	Start    string   `json:"start,omitempty" format:"date-time" description:"without it now, as an emergency"`
	End      string   `json:"end" required:"true" format:"date-time"`
	Rule     string   `json:"rrule,omitempty" description:"RFC 5545, as in FREQ=WEEKLY;BYDAY=SU"`
	Zone     string   `json:"zone,omitempty" description:"in which the rule counts, as in Europe/London; without it UTC"`
	Tags     []string `json:"tags,omitempty" maxItems:"10" nullable:"false"`
	Category string   `json:"category,omitempty"`
}

// maintenanceChange is what a client does to a maintenance.
type maintenanceChange struct {
	End  string `json:"end,omitempty" format:"date-time" description:"the new end; of extend and start"`
	Text string `json:"text,omitempty" description:"Markdown"`
}

// maintenanceWriter is the part of the API that plans maintenance.
type maintenanceWriter struct{ *API }

func (a maintenanceWriter) answer(ctx context.Context, id string) (editorial.MaintenanceEntry, error) {
	return a.config.Maintenance.Show(ctx, id)
}

// maintenancesMost is how many maintenances a list has.
const maintenancesMost = 200

func (a maintenanceWriter) list(ctx context.Context, _ *http.Request) (any, error) {
	all, err := a.config.Maintenance.List(ctx, time.Time{}, maintenancesMost)
	return append([]editorial.MaintenanceEntry{}, all...), err
}

func (a maintenanceWriter) read(ctx context.Context, r *http.Request) (any, error) {
	return a.answer(ctx, r.PathValue("id"))
}

// parseTime parses the time in a field; an empty one is the zero time.
func parseTime(field, text string) (at time.Time, err error) {
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, errkind.In(field, errkind.New(errkind.Invalid,
			fmt.Sprintf("%s %q is not a time in RFC 3339, as in 2026-03-01T02:31:00Z", field, text)))
	}
	return at, nil
}

func (a maintenanceWriter) plan(ctx context.Context, _ *http.Request, p maintenancePlan) (id string, err error) {
	start, err := parseTime("start", p.Start)
	if err != nil {
		return "", err
	}
	end, err := parseTime("end", p.End)
	if err != nil {
		return "", err
	}
	return a.config.Maintenance.Plan(ctx, editorial.MaintenancePlan{
		Title: p.Title, Text: p.Text, Hosts: p.Hosts, Checks: p.Checks, Start: start, End: end, Rule: p.Rule,
		Zone: p.Zone, Tags: p.Tags, Category: p.Category,
	})
}

// change returns what does an action to a maintenance.
func (a maintenanceWriter) change(
	action maintenance.Action,
) func(ctx context.Context, r *http.Request, c maintenanceChange) (string, error) {
	return func(ctx context.Context, r *http.Request, c maintenanceChange) (string, error) {
		end, err := parseTime("end", c.End)
		if err != nil {
			return "", err
		}
		_, err = a.config.Maintenance.Change(ctx, editorial.MaintenanceChange{
			ID: r.PathValue("id"), Action: action, End: end, Text: c.Text,
		})
		return r.PathValue("id"), err
	}
}

// operations lists the addresses of maintenance.
func (a maintenanceWriter) operations() []operation {
	const all, one = "/api/v1/maintenance", "/api/v1/maintenance/{id}"
	out := []operation{
		{method: http.MethodGet, path: all, summary: "The newest 200 maintenances, the latest announced first",
			scope: operators.Read, answer: []editorial.MaintenanceEntry{}, handler: a.access.reads(a.list)},
		{method: http.MethodGet, path: one, summary: "A maintenance, or one occurrence of it", scope: operators.Read,
			params: idPath{}, answer: editorial.MaintenanceEntry{}, errors: []int{http.StatusNotFound},
			handler: a.access.reads(a.read)},
		changes(a.API, http.MethodPost, all, "Plan maintenance", a.plan, a.answer),
	}
	for _, action := range []struct {
		action  maintenance.Action
		summary string
	}{
		{maintenance.Start, "Begin a maintenance early"}, {maintenance.Extend, "Move the end of a maintenance"},
		{maintenance.Verify, "Say that the work is done and checked"}, {maintenance.End, "End a maintenance"},
		{maintenance.Cancel, "Call a maintenance off before it began"},
	} {
		out = append(out, changes(a.API, http.MethodPost, one+"/"+string(action.action), action.summary,
			a.change(action.action), a.answer))
	}
	return out
}
