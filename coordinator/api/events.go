package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// statusEvent is the data of a "status" event.
type statusEvent struct {
	At       time.Time              `json:"at"`
	Title    string                 `json:"title"`
	Statuses map[string]mesh.Status `json:"statuses"` // by host
}

// events streams a "status" event after every change. With ?page=PATH the body of that page comes before it, as a
// "page" event, if it changed. A stream for a page that does not exist ends at once.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	path := r.FormValue("page")
	return a.streams.Serve(w, r, a.view.Changed, func(send web.SendFunc) error {
		s := a.view.State() // one state for both events, so that a page and its title match
		if path != "" {
			body, found, err := a.pages.Body(r.Context(), s, path)
			if err != nil || !found {
				return err
			}
			if err := send("page", string(body)); err != nil {
				return err
			}
		}
		status, _, err := a.cache.Render(r.Context(), s, "status", func(context.Context) (string, bool, error) {
			data, err := json.Marshal(newStatusEvent(s))
			return string(data), true, err
		})
		if err != nil {
			return err
		}
		return send("status", status)
	})
}

// newStatusEvent returns the event of a state. Its time has whole seconds: pages write it into a datetime attribute,
// and a second with several snapshots sends one event unless a status changes.
func newStatusEvent(s web.State) statusEvent {
	at := s.Snapshot.At.UTC().Truncate(time.Second)
	e := statusEvent{At: at, Title: s.Title(), Statuses: map[string]mesh.Status{}}
	for _, h := range s.Hosts() {
		e.Statuses[h.Name] = h.Status
	}
	return e
}
