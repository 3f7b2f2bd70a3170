package node

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/sla"
)

// consoleRecords is what the console reads of the ledger beside transitions: catalogs and agents.
type consoleRecords struct{ view *view.View }

// CatalogChanges lists the newest changes of the catalog, the newest first.
func (r consoleRecords) CatalogChanges(ctx context.Context, limit int) ([]ledger.Change, error) {
	return view.CatalogChanges(ctx, r.view, limit)
}

// Catalog returns a catalog that was in force, or an error of the kind NotFound.
func (r consoleRecords) Catalog(ctx context.Context, revision string) (*catalog.Catalog, error) {
	return r.view.CatalogOf(ctx, revision)
}

// Pauses returns when no coordinator judged, in a period of mesh time.
func (r consoleRecords) Pauses(ctx context.Context, from, to time.Time) ([]sla.Window, error) {
	return r.view.Periods().Pauses(ctx, from, to)
}

// Agents lists the agents that are enrolled.
func (r consoleRecords) Agents(ctx context.Context) ([]ledger.Agent, error) {
	return view.Agents(ctx, r.view)
}
