package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/probemesh/probemesh/coordinator/editorial"
)

// IncidentEditor writes and reads incidents.
type IncidentEditor interface {
	OpenIncident(ctx context.Context, o editorial.Opening) (editorial.Written, error)
	UpdateIncident(ctx context.Context, u editorial.Update) (editorial.Written, error)
	ResolveIncident(ctx context.Context, n editorial.Note) (editorial.Written, error)
	ReopenIncident(ctx context.Context, n editorial.Note) (editorial.Written, error)
	ExplainIncident(ctx context.Context, n editorial.Note) (editorial.Written, error)
	EditIncident(ctx context.Context, c editorial.Correction) (editorial.Written, error)
	MergeIncident(ctx context.Context, m editorial.Merger) (editorial.Written, error)
	PublishIncident(ctx context.Context, id string) (editorial.Written, error)
	ListIncidents(ctx context.Context, limit, offset int) ([]editorial.Incident, error)
	ShowIncident(ctx context.Context, id string) (editorial.Incident, string, error)
}

// incidentsMost is how many incidents a list has.
const incidentsMost = 200

// ShownIncident is one incident with its page's text.
type ShownIncident struct {
	editorial.Incident
	Page string `json:"page"`
}

// addIncidents adds the commands of incidents.
func (h handler) addIncidents(mux *http.ServeMux) {
	mux.HandleFunc("GET /incidents", func(w http.ResponseWriter, r *http.Request) {
		all, err := h.Incidents.ListIncidents(r.Context(), incidentsMost, 0)
		respond(w, all, err)
	})
	mux.HandleFunc("GET /incidents/show", func(w http.ResponseWriter, r *http.Request) {
		i, page, err := h.Incidents.ShowIncident(r.Context(), r.FormValue("id"))
		respond(w, ShownIncident{i, page}, err)
	})
	mux.HandleFunc("POST /incidents/open", answer(h, IncidentEditor.OpenIncident))
	mux.HandleFunc("POST /incidents/update", answer(h, IncidentEditor.UpdateIncident))
	mux.HandleFunc("POST /incidents/resolve", answer(h, IncidentEditor.ResolveIncident))
	mux.HandleFunc("POST /incidents/reopen", answer(h, IncidentEditor.ReopenIncident))
	mux.HandleFunc("POST /incidents/postmortem", answer(h, IncidentEditor.ExplainIncident))
	mux.HandleFunc("POST /incidents/edit", answer(h, IncidentEditor.EditIncident))
	mux.HandleFunc("POST /incidents/merge", answer(h, IncidentEditor.MergeIncident))
	mux.HandleFunc("POST /incidents/publish", answer(h, IncidentEditor.PublishIncident))
}

// answer returns a handler that reads a command from JSON and answers with its outcome.
func answer[C any](
	h handler, do func(IncidentEditor, context.Context, C) (editorial.Written, error),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var command C
		var out editorial.Written
		err := decode(w, r, &command)
		if err == nil {
			out, err = do(h.Incidents, r.Context(), command)
		}
		respond(w, out, err)
	}
}

// IncidentClient sends commands about incidents.
type IncidentClient struct{ client *Client }

// NewIncidentClient returns what sends commands about incidents.
func NewIncidentClient(c *Client) IncidentClient { return IncidentClient{c} }

// Write sends a command about incidents: "open", "update", "resolve", "reopen", "postmortem", "edit", "merge"
// or "publish", with the command's struct of package editorial; that of "publish" is the id.
func (c IncidentClient) Write(ctx context.Context, action string, command any) (out editorial.Written, err error) {
	data, err := json.Marshal(command)
	if err != nil {
		return out, err
	}
	return out, c.client.call(ctx, http.MethodPost, "/incidents/"+action, nil, data, &out)
}

// List returns the newest incidents, newest first.
func (c IncidentClient) List(ctx context.Context) (all []editorial.Incident, err error) {
	return all, c.client.call(ctx, http.MethodGet, "/incidents", nil, nil, &all)
}

// Show returns one incident with its page's text.
func (c IncidentClient) Show(ctx context.Context, id string) (i ShownIncident, err error) {
	return i, c.client.call(ctx, http.MethodGet, "/incidents/show", url.Values{"id": {id}}, nil, &i)
}
