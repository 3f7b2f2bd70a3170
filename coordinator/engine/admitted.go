package engine

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/wire"
)

// shareEvery is the least time between two announcements of admitted agents: a hundred servers may join at once.
const shareEvery = time.Second

// pack packs the catalog for agents, with the public keys of the admitted ones.
func (e *Engine) pack(ctx context.Context, c *catalog.Catalog) ([]byte, error) {
	public, err := e.View.AgentKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := map[string]ed25519.PublicKey{}
	for host, key := range public {
		if keys[host], err = bus.VerifyingKey(key); err != nil {
			delete(keys, host)
			e.Logger.Warn().Err(err).Str("host", host).Msg("agent left out of the admitted keys")
		}
	}
	return wire.EncodeAnswer(wire.Answer{Catalog: c, Keys: keys})
}

// admittedChanged asks shareAdmitted to publish the new set of keys. It does not block.
func (e *Engine) admittedChanged() {
	select {
	case e.admitted <- struct{}{}:
	default:
	}
}

// shareAdmitted packs the admitted agents' keys whenever they change, and notifies the agents, which then request
// them.
func (e *Engine) shareAdmitted(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.admitted:
		}
		if err := e.repack(ctx); err != nil && ctx.Err() == nil {
			e.Logger.Error().Err(err).Msg("publishing the admitted agents' keys failed; retrying")
			e.admittedChanged()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(shareEvery):
		}
	}
}

func (e *Engine) repack(ctx context.Context) error {
	e.changing.Lock()
	defer e.changing.Unlock()
	c := e.held()
	packed, err := e.pack(ctx, c)
	if err != nil {
		return err
	}
	e.hold(c, packed)
	data, err := wire.EncodeControl(wire.Control{Catalog: c.Revision})
	if err != nil {
		return err
	}
	return e.Bus.Broadcast(ctx, data)
}
