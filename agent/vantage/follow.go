package vantage

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/wire"
)

const (
	catalogEvery = time.Minute     // the catalog is asked for even when nobody says that there is a new one
	catalogRetry = 2 * time.Second // while there is none
	catalogWait  = 5 * time.Second // for an answer
)

// followCatalog keeps asking for the catalog: at start until it comes, at each new connection, on the coordinator's word and
// every minute. Without an answer the agent works by the last one.
func (v *vantage) followCatalog(ctx context.Context) {
	revision := ""
	for {
		wait := catalogEvery
		if err := v.askCatalog(ctx, &revision); err != nil {
			v.Logger.Debug().Err(err).Msg("no catalog yet")
			if revision == "" {
				wait = catalogRetry
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-v.asked:
		case <-v.Bus.ConnectionChanged():
			v.report(func() { v.flushAt = time.Now() }) // the first word of a new connection
		}
	}
}

func (v *vantage) askCatalog(ctx context.Context, revision *string) error {
	ctx, cancel := context.WithTimeout(ctx, catalogWait)
	defer cancel()
	data, err := v.Bus.Catalog(ctx)
	if err != nil {
		return err
	}
	c, err := wire.DecodeCatalog(data)
	if err != nil {
		v.Logger.Warn().Err(err).Msg("a catalog that this agent does not understand")
		return err
	}
	if c.Revision != *revision {
		*revision = c.Revision
		v.report(func() { v.newCatalog(c) })
	}
	return nil
}

// fetch has followCatalog ask now.
func (v *vantage) fetch() {
	select {
	case v.asked <- struct{}{}:
	default:
	}
}
