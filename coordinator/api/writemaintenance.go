package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

// MaintenanceEditor plans, changes and reads maintenance.
type MaintenanceEditor interface {
	Plan(ctx context.Context, p editorial.MaintenancePlan) (id string, err error)
	Preview(ctx context.Context, p editorial.MaintenancePlan) (editorial.MaintenanceEntry, error)
	Change(ctx context.Context, c editorial.MaintenanceChange) (editorial.MaintenanceEntry, error)
	Edit(ctx context.Context, e editorial.MaintenanceEdit) (editorial.MaintenanceEdited, error)
	List(ctx context.Context, since time.Time, limit int) ([]editorial.MaintenanceEntry, error)
	Show(ctx context.Context, id string) (editorial.MaintenanceEntry, error)
}

// maintenancePlan is a maintenance that a client plans.
type maintenancePlan struct {
	previewing
	Title    string   `json:"title" required:"true" maxLength:"200"`
	Text     string   `json:"text,omitempty" description:"Markdown"`
	Hosts    []string `json:"hosts" required:"true" nullable:"false" description:"as the catalog names them"`
	Checks   []string `json:"checks,omitempty" nullable:"false" description:"of each of the hosts; without them the hosts"`
	Start    string   `json:"start,omitempty" format:"date-time" description:"without it now, as an emergency"`
	End      string   `json:"end" required:"true" format:"date-time"`
	Rule     string   `json:"rrule,omitempty" description:"RFC 5545, as in FREQ=WEEKLY;BYDAY=SU"`
	Zone     string   `json:"zone,omitempty" description:"in which the rule counts, as in Europe/London; without it UTC"`
	Overrun  string   `json:"overrun,omitempty" description:"how much longer it may last by itself, as in 30m"`
	Tags     []string `json:"tags,omitempty" maxItems:"10" nullable:"false"`
	Category string   `json:"category,omitempty"`
}

// maintenanceChange is what a client does to a maintenance.
type maintenanceChange struct {
	End  string `json:"end,omitempty" format:"date-time" description:"the new end; of extend and start"`
	Text string `json:"text,omitempty" description:"Markdown"`
}

// maintenanceEdit is what changes in a maintenance; what is left out stays.
type maintenanceEdit struct {
	previewing
	Update   string    `json:"update,omitempty" description:"whose text changes; without it the announcement"`
	Title    *string   `json:"title,omitempty" maxLength:"200"`
	Text     *string   `json:"text,omitempty" description:"Markdown"`
	Tags     *[]string `json:"tags,omitempty" maxItems:"10"`
	Category *string   `json:"category,omitempty"`
	Start    string    `json:"start,omitempty" format:"date-time" description:"the new start, before it has begun"`
	End      string    `json:"end,omitempty" format:"date-time" description:"the new end; without it it lasts as long"`
	Erase    bool      `json:"erase,omitempty" description:"erase what is replaced, of the update"`
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

func (a maintenanceWriter) plan(ctx context.Context, _ *http.Request, p maintenancePlan) (outcome, error) {
	start, err := parseTime("start", p.Start)
	if err != nil {
		return outcome{}, err
	}
	end, err := parseTime("end", p.End)
	if err != nil {
		return outcome{}, err
	}
	plan := editorial.MaintenancePlan{
		Title: p.Title, Text: p.Text, Hosts: p.Hosts, Checks: p.Checks, Start: start, End: end, Rule: p.Rule,
		Zone: p.Zone, Overrun: p.Overrun, Tags: p.Tags, Category: p.Category,
	}
	if p.Preview {
		entry, err := a.config.Maintenance.Preview(ctx, plan)
		return outcome{preview: newPreview(entry.Page(), p.Text, "")}, err
	}
	id, err := a.config.Maintenance.Plan(ctx, plan)
	return outcome{id: id}, err
}

func (a maintenanceWriter) edit(ctx context.Context, r *http.Request, f maintenanceEdit) (outcome, error) {
	start, err := parseTime("start", f.Start)
	if err != nil {
		return outcome{}, err
	}
	end, err := parseTime("end", f.End)
	if err != nil {
		return outcome{}, err
	}
	out, err := a.config.Maintenance.Edit(ctx, editorial.MaintenanceEdit{
		ID: r.PathValue("id"), Update: f.Update, Title: f.Title, Text: f.Text, Tags: f.Tags, Category: f.Category,
		Start: start, End: end, Erase: f.Erase, Preview: f.Preview,
	})
	if f.Preview {
		return outcome{preview: newPreview(out.Entry.Page(), or(f.Text), "")}, err
	}
	return outcome{id: r.PathValue("id")}, err
}

// eraseUpdate is no change: its answer depends on what could be erased.
func (a maintenanceWriter) eraseUpdate(w http.ResponseWriter, r *http.Request) error {
	ctx, err := a.access.admit(w, r, operators.Write)
	if err != nil {
		return err
	}
	out, err := a.config.Maintenance.Edit(ctx, editorial.MaintenanceEdit{
		ID: r.PathValue("id"), Update: r.PathValue("update"), Erase: true,
	})
	if err != nil {
		return failure(err)
	}
	return web.WriteJSON(w, http.StatusOK, newRemoval(r.PathValue("update"), *out.Removal))
}

// change returns what does an action to a maintenance.
func (a maintenanceWriter) change(
	action maintenance.Action,
) func(ctx context.Context, r *http.Request, c maintenanceChange) (outcome, error) {
	return func(ctx context.Context, r *http.Request, c maintenanceChange) (outcome, error) {
		end, err := parseTime("end", c.End)
		if err != nil {
			return outcome{}, err
		}
		_, err = a.config.Maintenance.Change(ctx, editorial.MaintenanceChange{
			ID: r.PathValue("id"), Action: action, End: end, Text: c.Text,
		})
		return outcome{id: r.PathValue("id")}, err
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
		changes(a.API, http.MethodPatch, one, "Correct a maintenance, or move it", a.edit, a.answer),
		erases(one, "Erase the text of an update", a.eraseUpdate),
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
