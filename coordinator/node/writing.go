package node

import (
	"context"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// openWriting opens what people and programs write with. What it appends to the ledger has a record of who wrote it.
func openWriting(ctx context.Context, n *Node) (*operators.Tokens, *editorial.Editor, error) {
	tokens, err := operators.Open(ctx, operators.Config{
		People: n.bus.People(), Ledger: n.ledger, Audit: n.view.Audit(), Clock: n.core.Clock.Now,
		Logger: n.logger("operators"),
	})
	if err != nil {
		return nil, nil, err
	}
	return tokens, editorial.New(editorial.Config{
		Texts: n.bus.Texts(), Logs: textLogs{n.nats}, Ledger: operators.Journal{Ledger: n.ledger}, Posts: n.view.Posts(),
		Incidents: n.view, Maintenances: n.view.Maintenances(),
		Acknowledged: func(ctx context.Context) (map[string]ledger.NotifyEvent, error) { // the notifier is made later
			return n.notifier.Acknowledged(ctx)
		},
		MaintenanceChanged: func(ctx context.Context) { engine.CatchUp(ctx, n.core.Engine) },
		Catalog:            n.core.Catalogs.Current, Clock: n.core.Clock.Now, Warn: n.core.Warnings.Warn,
		Logger: n.logger("editorial"),
	}), nil
}

// textLogs are the NATS servers' logs of the texts.
type textLogs struct{ nats *server.Server }

const textStream = "TEXT"

// End implements editorial.Logs.
func (l textLogs) End(ctx context.Context) (uint64, error) { return l.nats.LogEnd(ctx, textStream) }

// Passed implements editorial.Logs.
func (l textLogs) Passed(ctx context.Context, position uint64) (bool, error) {
	return l.nats.LogsPassed(ctx, textStream, position)
}
