package engine

import (
	"context"
	"errors"

	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// LedgerBus is the part of the bus that stores the ledger.
type LedgerBus interface {
	Append(ctx context.Context, entries []bus.Entry) (last uint64, err error)
	ReadLedger(ctx context.Context, from uint64, fn func(bus.Record) error) error
	Streams(ctx context.Context) ([]bus.StreamInfo, error)
}

// OpenLedger opens the ledger that the bus stores, with its view in the file. The caller closes the view.
func OpenLedger(ctx context.Context, b LedgerBus, file string) (*ledger.Ledger, *view.View, error) {
	var log ledger.Log = busLog{b}
	if t, ok := b.(textBus); ok {
		log = textLog{busLog{b}, t}
	}
	v, err := view.Open(ctx, file, log)
	if err != nil {
		return nil, nil, err
	}
	l, err := ledger.Open(ctx, log, v)
	if err != nil {
		v.Close()
		return nil, nil, err
	}
	return l, v, nil
}

// busLog is the bus as a ledger.Log. The bus and the ledger are of one layer, so that neither knows the other's types.
type busLog struct{ bus LedgerBus }

// textBus is a bus that stores texts too.
type textBus interface {
	Texts() *buscoordinator.Records
}

// textLog is a busLog with the texts beside it.
type textLog struct {
	busLog
	bus textBus
}

// Append implements ledger.Log.
func (l busLog) Append(ctx context.Context, entries []ledger.Entry) (last uint64, err error) {
	out := make([]bus.Entry, len(entries))
	for i, e := range entries {
		out[i] = bus.Entry(e)
	}
	return l.bus.Append(ctx, out)
}

// Read implements ledger.Log.
func (l busLog) Read(ctx context.Context, from uint64, fn func(ledger.Record) error) error {
	return l.bus.ReadLedger(ctx, from, func(r bus.Record) error { return fn(ledger.Record(r)) })
}

// Text implements ledger.Texts.
func (l textLog) Text(ctx context.Context, id string) ([]byte, error) {
	data, err := l.bus.Texts().Get(ctx, id)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, ledger.ErrNoText
	}
	return data, err
}

// State implements ledger.Log.
func (l busLog) State(ctx context.Context) (ledger.State, error) {
	streams, err := l.bus.Streams(ctx)
	if err != nil {
		return ledger.State{}, err
	}
	for _, s := range streams {
		if s.Name == "LEDGER" {
			return ledger.State{Created: s.Created, First: s.First, Last: s.Last}, nil
		}
	}
	return ledger.State{}, errors.New("the bus has no stream LEDGER")
}
