package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
)

// Maintenance plans, changes and reads maintenance.
type Maintenance interface {
	Plan(ctx context.Context, p editorial.MaintenancePlan) (id string, err error)
	Preview(ctx context.Context, p editorial.MaintenancePlan) (editorial.MaintenanceEntry, error)
	Change(ctx context.Context, c editorial.MaintenanceChange) (editorial.MaintenanceEntry, error)
	Edit(ctx context.Context, e editorial.MaintenanceEdit) (editorial.MaintenanceEdited, error)
	List(ctx context.Context, since time.Time, limit int) ([]editorial.MaintenanceEntry, error)
}

// maintenancesMost bounds the maintenances of one answer.
const maintenancesMost = 1000

// addMaintenance adds the commands of maintenance.
func (h handler) addMaintenance(mux *http.ServeMux) {
	mux.HandleFunc("GET /maintenance", func(w http.ResponseWriter, r *http.Request) {
		all, err := h.Maintenance.List(r.Context(), time.Time{}, maintenancesMost)
		respond(w, all, err)
	})
	mux.HandleFunc("POST /maintenance/plan", func(w http.ResponseWriter, r *http.Request) {
		var p editorial.MaintenancePlan
		id, err := "", decode(w, r, &p)
		if err == nil {
			id, err = h.Maintenance.Plan(r.Context(), p)
		}
		respond(w, id, err)
	})
	mux.HandleFunc("POST /maintenance/preview", func(w http.ResponseWriter, r *http.Request) {
		var p editorial.MaintenancePlan
		var entry editorial.MaintenanceEntry
		err := decode(w, r, &p)
		if err == nil {
			entry, err = h.Maintenance.Preview(r.Context(), p)
		}
		respond(w, entry, err)
	})
	mux.HandleFunc("POST /maintenance/change", func(w http.ResponseWriter, r *http.Request) {
		var c editorial.MaintenanceChange
		var entry editorial.MaintenanceEntry
		err := decode(w, r, &c)
		if err == nil {
			entry, err = h.Maintenance.Change(r.Context(), c)
		}
		respond(w, entry, err)
	})
	mux.HandleFunc("POST /maintenance/edit", func(w http.ResponseWriter, r *http.Request) {
		var e editorial.MaintenanceEdit
		var out editorial.MaintenanceEdited
		err := decode(w, r, &e)
		if err == nil {
			out, err = h.Maintenance.Edit(r.Context(), e)
		}
		respond(w, out, err)
	})
}

// PlanMaintenance plans a maintenance and returns its id.
func (c *Client) PlanMaintenance(ctx context.Context, p editorial.MaintenancePlan) (id string, err error) {
	return id, c.send(ctx, "/maintenance/plan", p, &id)
}

// PreviewMaintenance returns what PlanMaintenance would publish, and publishes nothing.
func (c *Client) PreviewMaintenance(
	ctx context.Context, p editorial.MaintenancePlan,
) (entry editorial.MaintenanceEntry, err error) {
	return entry, c.send(ctx, "/maintenance/preview", p, &entry)
}

// ChangeMaintenance starts, verifies, extends, ends or cancels a maintenance.
func (c *Client) ChangeMaintenance(
	ctx context.Context, change editorial.MaintenanceChange,
) (entry editorial.MaintenanceEntry, err error) {
	return entry, c.send(ctx, "/maintenance/change", change, &entry)
}

// EditMaintenance corrects or moves a maintenance.
func EditMaintenance(
	ctx context.Context, c *Client, e editorial.MaintenanceEdit,
) (out editorial.MaintenanceEdited, err error) {
	return out, c.send(ctx, "/maintenance/edit", e, &out)
}

// Maintenances returns the newest maintenances, the latest announced first.
func (c *Client) Maintenances(ctx context.Context) (all []editorial.MaintenanceEntry, err error) {
	return all, c.call(ctx, http.MethodGet, "/maintenance", nil, nil, &all)
}

// send sends a command as JSON and decodes the answer.
func (c *Client) send(ctx context.Context, path string, what, into any) error {
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, nil, data, into)
}
