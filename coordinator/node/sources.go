package node

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// siteSource joins what the status page and its API show: the present from the engine, the past from the ledger.
type siteSource struct {
	engine    *engine.Engine
	history   *engine.History
	latencies *engine.Latencies
}

func (s siteSource) Current() (*catalog.Catalog, *mesh.Snapshot) { return s.engine.Current() }
func (s siteSource) Changed() <-chan struct{}                    { return s.engine.Changed() }
func (s siteSource) Ready() bool                                 { return s.engine.Ready() }
func (s siteSource) Written() uint64                             { return s.history.Written() }

func (s siteSource) Archive() web.Archive { return s.history.ArchiveView() }

func (s siteSource) Transitions(
	ctx context.Context, host string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	return s.history.Transitions(ctx, host, since, limit)
}

func (s siteSource) PublicTransitions(
	ctx context.Context, hosts []string, since time.Time, limit int,
) ([]mesh.Transition, error) {
	return s.history.PublicTransitions(ctx, hosts, since, limit)
}

func (s siteSource) TransitionsOf(ctx context.Context, parts []incident.Update) ([]mesh.Transition, error) {
	return s.history.TransitionsOf(ctx, parts)
}

func (s siteSource) Incidents(ctx context.Context, q incident.Query) ([]*incident.Incident, error) {
	return s.history.Incidents(ctx, q)
}

func (s siteSource) Components(ctx context.Context) (map[string]ledger.Component, error) {
	return s.history.Components(ctx)
}

func (s siteSource) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	return s.history.Incident(ctx, id)
}

func (s siteSource) Maintenances(ctx context.Context, from, to time.Time) ([]*maintenance.Maintenance, error) {
	return s.history.Maintenances(ctx, from, to)
}

func (s siteSource) Maintenance(ctx context.Context, id string) (*maintenance.Maintenance, error) {
	return s.history.Maintenance(ctx, id)
}

func (s siteSource) Gaps(ctx context.Context) ([]ledger.Gap, error) { return s.history.Gaps(ctx) }

func (s siteSource) Uptime(ctx context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error) {
	return s.history.Uptime(ctx, c, q)
}

func (s siteSource) Latency(ctx context.Context, c *catalog.Catalog, q latency.Request) (latency.Report, error) {
	return s.latencies.Latency(ctx, c, q)
}

func (s siteSource) Overview(ctx context.Context, c *catalog.Catalog, public bool) (latency.Overview, error) {
	return s.latencies.Overview(ctx, c, public)
}

// consoleSource joins what operators see beside the page: the present, the past and the mesh's own health.
type consoleSource struct {
	siteSource
	health   *health.Checker
	warnings *health.Warnings
}

func (s consoleSource) Counters() map[string]uint64 { return s.engine.Counters() }
func (s consoleSource) Warnings() map[string]string { return s.warnings.BySubject() }
func (s consoleSource) Health(ctx context.Context) (health.Report, error) {
	return s.health.Report(ctx)
}
func (s consoleSource) Streams(ctx context.Context) ([]bus.StreamInfo, error) {
	return s.health.Streams(ctx)
}

// TransitionsIn lists the newest transitions in a period of mesh time.
func (s consoleSource) TransitionsIn(
	ctx context.Context, host string, since, until time.Time, limit int,
) ([]mesh.Transition, error) {
	return s.history.TransitionsIn(ctx, host, since, until, limit)
}

// DecidedAt lists the transitions that were decided at a sequence of the stream of observations.
func (s consoleSource) DecidedAt(ctx context.Context, sequence uint64) ([]mesh.Transition, error) {
	return s.history.DecidedAt(ctx, sequence)
}

// Minutes returns what vantages observed of a check in the minutes of the last two days.
func (s consoleSource) Minutes(
	ctx context.Context, c *catalog.Catalog, q latency.MinutesRequest,
) ([]latency.Point, error) {
	return s.latencies.Minutes(ctx, c, q)
}

// Losses returns the losses of each vantage on each check in a period of the last latency.LossesReach.
func (s consoleSource) Losses(ctx context.Context, from, to time.Time) ([]latency.VantageLoss, error) {
	c, _ := s.engine.Current()
	return s.latencies.Losses(ctx, c, from, to)
}
