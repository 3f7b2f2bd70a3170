package node

import (
	"context"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
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

// Agents lists the agents that are enrolled.
func (r consoleRecords) Agents(ctx context.Context) ([]ledger.Agent, error) {
	return view.Agents(ctx, r.view)
}
