package vantage

import (
	"context"
	"crypto/ed25519"
	"maps"
	"time"

	"github.com/probemesh/probemesh/pkg/wire"
)

const (
	catalogEvery = time.Minute     // the catalog is asked for even when nobody says that there is a new one
	catalogRetry = 2 * time.Second // after a question without an answer; doubled with each further one once there is a catalog
	catalogWait  = 5 * time.Second // for an answer
)

// followCatalog keeps asking for the catalog: at start until it comes, at each new connection, when the coordinator notifies the
// agent of a change, and every minute. Without an answer the agent works by the last one and asks again soon: it may have been
// notified that an agent was revoked, and the coordinator does not answer agents that ask too often.
func (v *vantage) followCatalog(ctx context.Context) {
	var last wire.Answer
	retry := catalogRetry
	for {
		wait := catalogEvery
		switch err := v.askCatalog(ctx, &last); {
		case err == nil:
			retry = catalogRetry
		case last.Catalog == nil:
			v.Logger.Debug().Err(err).Msg("no catalog yet")
			wait = catalogRetry
		default:
			v.Logger.Debug().Err(err).Msg("catalog question not answered")
			wait, retry = retry, min(2*retry, catalogEvery)
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

// askCatalog asks once, and reports to the loop what is new since the last answer.
func (v *vantage) askCatalog(ctx context.Context, last *wire.Answer) error {
	ctx, cancel := context.WithTimeout(ctx, catalogWait)
	defer cancel()
	data, err := v.Bus.Catalog(ctx)
	if err != nil {
		return err
	}
	a, err := wire.DecodeAnswer(data)
	if err != nil {
		v.Logger.Warn().Err(err).Msg("a catalog that this agent does not understand")
		return err
	}
	switch newKeys := !sameKeys(a.Keys, last.Keys); {
	case last.Catalog == nil || a.Catalog.Revision != last.Catalog.Revision:
		v.report(func() { v.keys = a.Keys; v.newCatalog(a.Catalog) })
	case newKeys:
		v.report(func() { v.newKeys(a.Keys) })
	}
	*last = a
	return nil
}

func sameKeys(a, b map[string]ed25519.PublicKey) bool {
	return (a == nil) == (b == nil) && maps.EqualFunc(a, b, func(x, y ed25519.PublicKey) bool { return x.Equal(y) })
}

// newKeys takes over the admitted agents' public keys, which change without the catalog when an agent joins or is
// revoked.
func (v *vantage) newKeys(keys map[string]ed25519.PublicKey) {
	v.keys = keys
	if v.Gossip != nil {
		v.Gossip.SetCatalog(v.permitted(v.catalog), keys)
	}
	v.Logger.Info().Int("agents", len(keys)).Msg("admitted agents changed")
}

// fetch has followCatalog ask now.
func (v *vantage) fetch() {
	select {
	case v.asked <- struct{}{}:
	default:
	}
}
