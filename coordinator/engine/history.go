package engine

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// History reads the ledger for people, who ask in wall time.
type History struct {
	view *view.View
	now  func() (at time.Time, offset time.Duration)
}

// NewHistory makes a History. now returns the present mesh time, and mesh time less the wall clock.
func NewHistory(v *view.View, now func() (at time.Time, offset time.Duration)) *History {
	return &History{v, now}
}

// Transitions returns the newest transitions since the time, oldest first, of a host's key or of all hosts (""), in
// wall time.
func (h *History) Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error) {
	return h.TransitionsIn(ctx, host, h.meshTime(since), time.Time{}, limit)
}

// TransitionsIn is Transitions in a period of mesh time; the zero time as its end is the present.
func (h *History) TransitionsIn(
	ctx context.Context, host string, since, until time.Time, limit int,
) ([]mesh.Transition, error) {
	out, err := view.TransitionsIn(ctx, h.view, host, since, until, limit)
	for i := range out {
		out[i] = out[i].InWallTime()
	}
	return out, err
}

// DecidedAt returns the transitions that were decided at a sequence of the stream, in wall time.
func (h *History) DecidedAt(ctx context.Context, sequence uint64) ([]mesh.Transition, error) {
	out, err := view.DecidedAt(ctx, h.view, sequence)
	for i := range out {
		out[i] = out[i].InWallTime()
	}
	return out, err
}

// PublicTransitions is Transitions of the hosts with these keys, without what happened while they were internal.
func (h *History) PublicTransitions(
	ctx context.Context, hosts []string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	out, err := h.view.PublicTransitions(ctx, hosts, h.meshTime(since), limit)
	for i := range out {
		out[i] = out[i].InWallTime()
	}
	return out, err
}

// TransitionsOf returns the transitions that updates of an incident are made of, in wall time.
func (h *History) TransitionsOf(ctx context.Context, parts []incident.Update) ([]mesh.Transition, error) {
	out, err := view.TransitionsOf(ctx, h.view, parts)
	for i := range out {
		out[i] = out[i].InWallTime()
	}
	return out, err
}

// Incidents returns incidents that a query in wall time selects, newest first. Their times are mesh time.
func (h *History) Incidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error) {
	in := view.IncidentQuery{
		Since: h.meshTime(q.Since), From: h.meshTime(q.From), Until: h.meshTime(q.Until), Limit: q.Limit, Offset: q.Offset,
	}
	if q.Public {
		now, _ := h.now()
		in.Public = &view.PublicIncidents{At: now, Hosts: q.Hosts}
	}
	return h.view.Incidents(ctx, in)
}

// Components returns when each host and check entered the catalog, by its id.
func (h *History) Components(ctx context.Context) (map[string]ledger.Component, error) {
	return h.view.Components(ctx)
}

// Incident returns the incident with the id; nil if there is none.
func (h *History) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	return h.view.Incident(ctx, id)
}

// Written changes with everything that is written to the ledger.
func (h *History) Written() uint64 { return h.view.Applied() }

// Maintenances returns the maintenances that may touch a period of wall time, the latest announced first.
func (h *History) Maintenances(ctx context.Context, from, to time.Time) ([]*maintenance.Maintenance, error) {
	return h.view.Maintenances().List(ctx, from, to, view.MaintenancesMax)
}

// Maintenance returns the maintenance with the id, or ledger.ErrNoMaintenance.
func (h *History) Maintenance(ctx context.Context, id string) (*maintenance.Maintenance, error) {
	return h.view.Maintenances().Get(ctx, id)
}

// Gaps returns what the streams have lost by damage.
func (h *History) Gaps(ctx context.Context) ([]ledger.Gap, error) { return h.view.Losses().Gaps(ctx) }

// ArchiveView returns what people read about the past. Its times are wall time.
func (h *History) ArchiveView() view.Archive { return h.view.Archive() }

// meshTime converts wall time by the present offset; the zero time stays.
func (h *History) meshTime(wall time.Time) time.Time {
	if wall.IsZero() {
		return wall
	}
	_, offset := h.now()
	return wall.Add(offset)
}
