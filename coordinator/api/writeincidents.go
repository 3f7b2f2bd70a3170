package api

import (
	"context"
	"net/http"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/incident"
)

// IncidentEditor writes and reads incidents.
type IncidentEditor interface {
	OpenIncident(ctx context.Context, o editorial.Opening) (editorial.Written, error)
	UpdateIncident(ctx context.Context, u editorial.Update) (editorial.Written, error)
	ReopenIncident(ctx context.Context, n editorial.Note) (editorial.Written, error)
	ExplainIncident(ctx context.Context, n editorial.Note) (editorial.Written, error)
	EditIncident(ctx context.Context, c editorial.Correction) (editorial.Written, error)
	MergeIncident(ctx context.Context, m editorial.Merger) (editorial.Written, error)
	PublishIncident(ctx context.Context, id string) (editorial.Written, error)
	ListIncidents(ctx context.Context, limit, offset int) ([]editorial.Incident, error)
	ShowIncident(ctx context.Context, id string) (i editorial.Incident, page string, err error)
	ShowContinued(ctx context.Context, id string) (editorial.Incident, error)
}

// incidentOpening is an incident that a client opens. Without an impact it is as measured; a template replaces an empty
// title and text.
type incidentOpening struct {
	previewing
	Title      string          `json:"title,omitempty" maxLength:"200"`
	Text       string          `json:"text,omitempty" description:"the first update, Markdown"`
	Hosts      []string        `json:"hosts" required:"true" nullable:"false" description:"as the catalog names them"`
	Checks     []string        `json:"checks,omitempty" nullable:"false" description:"of the hosts; without them all"`
	Impact     incident.Impact `json:"impact,omitempty" enum:"none,minor,major,critical"`
	Tags       []string        `json:"tags,omitempty" maxItems:"10" nullable:"false"`
	Category   string          `json:"category,omitempty"`
	NextUpdate string          `json:"next_update,omitempty" description:"the promise: 30m, or a time"`
	Template   string          `json:"template,omitempty" description:"of the catalog"`
}

// incidentUpdate is what a client reports of an open incident; what is left out is as before. Status is the same as
// state, as the command calls it.
type incidentUpdate struct {
	previewing
	State      incident.State  `json:"state,omitempty" enum:"investigating,identified,monitoring,resolved"`
	Status     incident.State  `json:"status,omitempty" enum:"investigating,identified,monitoring,resolved"`
	Text       string          `json:"text,omitempty" description:"Markdown"`
	Impact     incident.Impact `json:"impact,omitempty" enum:"none,minor,major,critical"`
	Hosts      []string        `json:"hosts,omitempty" nullable:"false" description:"that it affects as well"`
	Checks     []string        `json:"checks,omitempty" nullable:"false"`
	NextUpdate string          `json:"next_update,omitempty" description:"the promise: 30m, or a time"`
	Template   string          `json:"template,omitempty"`
}

// incidentNote is the text of a change.
type incidentNote struct {
	previewing
	Text string `json:"text" required:"true" description:"Markdown"`
}

// incidentCorrection is what changes in an incident; what is left out stays, and texts before stay readable.
type incidentCorrection struct {
	previewing
	Entry    string           `json:"entry,omitempty" description:"that is corrected; without it the latest"`
	Erase    bool             `json:"erase,omitempty" description:"erase what is replaced, of the entry"`
	Title    *string          `json:"title,omitempty" maxLength:"200"`
	Text     *string          `json:"text,omitempty"`
	Impact   *incident.Impact `json:"impact,omitempty" enum:"none,minor,major,critical"`
	Tags     *[]string        `json:"tags,omitempty" maxItems:"10"`
	Category *string          `json:"category,omitempty"`
	Hosts    []string         `json:"hosts,omitempty" nullable:"false" description:"that it affects as well"`
}

// incidentMerger names the incident that continues another one.
type incidentMerger struct {
	previewing
	Into string `json:"into" required:"true" description:"the id of the incident that continues this one"`
}

// nothing is the body of a request that needs none.
type nothing struct{}

// incidentsMost is how many incidents a page of the list has, unless a client asks for fewer.
const incidentsMost = 200

// incidentWriter is the part of the API that writes incidents.
type incidentWriter struct{ *API }

// answer answers a change. A repeated request may be of an incident that was merged since.
func (a incidentWriter) answer(ctx context.Context, id string) (editorial.Incident, error) {
	return a.config.Incidents.ShowContinued(ctx, id)
}

func (a incidentWriter) list(ctx context.Context, r *http.Request) (any, error) {
	page, perPage, err := pagination(r, incidentsMost, incidentsMost)
	if err != nil {
		return nil, err
	}
	all, err := a.config.Incidents.ListIncidents(ctx, perPage, (page-1)*perPage)
	return append([]editorial.Incident{}, all...), err
}

func (a incidentWriter) read(ctx context.Context, r *http.Request) (any, error) {
	i, _, err := a.config.Incidents.ShowIncident(ctx, r.PathValue("id"))
	return i, err
}

func (a incidentWriter) open(ctx context.Context, _ *http.Request, o incidentOpening) (outcome, error) {
	return ofIncident(a.config.Incidents.OpenIncident(ctx, editorial.Opening{
		Title: o.Title, Text: o.Text, Hosts: o.Hosts, Checks: o.Checks, Impact: o.Impact, Tags: o.Tags,
		Category: o.Category, NextUpdate: o.NextUpdate, Template: o.Template, Preview: o.Preview,
	}))
}

func (a incidentWriter) update(ctx context.Context, r *http.Request, u incidentUpdate) (outcome, error) {
	if u.State != "" && u.Status != "" && u.State != u.Status {
		return outcome{}, errkind.In("state", errkind.New(errkind.Invalid, "state and status differ: write one of them"))
	}
	if u.State == "" {
		u.State = u.Status
	}
	return ofIncident(a.config.Incidents.UpdateIncident(ctx, editorial.Update{
		ID: r.PathValue("id"), Status: u.State, Text: u.Text, Impact: u.Impact, Hosts: u.Hosts, Checks: u.Checks,
		NextUpdate: u.NextUpdate, Template: u.Template, Preview: u.Preview,
	}))
}

func (a incidentWriter) resolve(ctx context.Context, r *http.Request, n incidentNote) (outcome, error) {
	return a.update(ctx, r, incidentUpdate{previewing: n.previewing, State: incident.Resolved, Text: n.Text})
}

func (a incidentWriter) reopen(ctx context.Context, r *http.Request, n incidentNote) (outcome, error) {
	return ofIncident(a.config.Incidents.ReopenIncident(
		ctx,
		editorial.Note{ID: r.PathValue("id"), Text: n.Text, Preview: n.Preview},
	))
}

func (a incidentWriter) explain(ctx context.Context, r *http.Request, n incidentNote) (outcome, error) {
	return ofIncident(a.config.Incidents.ExplainIncident(
		ctx,
		editorial.Note{ID: r.PathValue("id"), Text: n.Text, Preview: n.Preview},
	))
}

func (a incidentWriter) edit(ctx context.Context, r *http.Request, c incidentCorrection) (outcome, error) {
	return ofIncident(a.config.Incidents.EditIncident(ctx, editorial.Correction{
		ID: r.PathValue("id"), Entry: c.Entry, Title: c.Title, Text: c.Text, Impact: c.Impact, Tags: c.Tags,
		Category: c.Category, Hosts: c.Hosts, Erase: c.Erase, Preview: c.Preview,
	}))
}

// eraseUpdate is no change: its answer depends on what could be erased.
func (a incidentWriter) eraseUpdate(w http.ResponseWriter, r *http.Request) error {
	ctx, err := a.access.admit(w, r, operators.Write)
	if err != nil {
		return err
	}
	out, err := a.config.Incidents.EditIncident(ctx, editorial.Correction{
		ID: r.PathValue("id"), Entry: r.PathValue("update"), Erase: true,
	})
	if err != nil {
		return failure(err)
	}
	return web.WriteJSON(w, http.StatusOK, newRemoval(r.PathValue("update"), *out.Removal))
}

func (a incidentWriter) merge(ctx context.Context, r *http.Request, m incidentMerger) (outcome, error) {
	return ofIncident(a.config.Incidents.MergeIncident(
		ctx,
		editorial.Merger{ID: r.PathValue("id"), Into: m.Into, Preview: m.Preview},
	))
}

func (a incidentWriter) publish(ctx context.Context, r *http.Request, _ nothing) (outcome, error) {
	return ofIncident(a.config.Incidents.PublishIncident(ctx, r.PathValue("id")))
}

// operations lists the addresses of incidents.
func (a incidentWriter) operations() []operation {
	const all, one = "/api/v1/incidents", "/api/v1/incidents/{id}"
	return []operation{
		{method: http.MethodGet, path: all, summary: "Incidents, newest first", scope: operators.Read,
			params: pageQuery{}, answer: []editorial.Incident{}, errors: []int{http.StatusBadRequest},
			handler: a.access.reads(a.list)},
		{method: http.MethodGet, path: one, summary: "An incident", scope: operators.Read, params: idPath{},
			answer: editorial.Incident{}, errors: []int{http.StatusNotFound, http.StatusConflict},
			handler: a.access.reads(a.read)},
		changes(a.API, http.MethodPost, all, "Open an incident, or take over the measured one of a host",
			a.open, a.answer),
		changes(a.API, http.MethodPatch, one, "Correct an incident", a.edit, a.answer),
		changes(a.API, http.MethodPost, one+"/updates", "Add an update", a.update, a.answer),
		erases(one, "Erase the text of an update", a.eraseUpdate),
		changes(a.API, http.MethodPost, one+"/resolve", "Resolve an incident", a.resolve, a.answer),
		changes(a.API, http.MethodPost, one+"/reopen", "Open an incident again", a.reopen, a.answer),
		changes(a.API, http.MethodPost, one+"/postmortem", "Explain an incident afterwards", a.explain, a.answer),
		changes(a.API, http.MethodPost, one+"/merge", "Continue an incident in another one", a.merge, a.answer),
		changes(a.API, http.MethodPost, one+"/publish", "Make a measured incident public", a.publish, a.answer),
	}
}
