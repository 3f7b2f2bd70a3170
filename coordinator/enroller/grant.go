package enroller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/wire"
)

// grant creates an agent's credentials and keys: when it joins, and again at each renewal while it is a member. The
// caller has read the gossip keys before it checked that the agent belongs: an agent that is revoked meanwhile gets
// the keys from before, and never those that replace them.
func (d *Enroller) grant(host, publicKey string, gossip keyring) ([]byte, error) {
	token, err := d.Issuer.Issue(host, publicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire.JoinGrant{JWT: token, Servers: d.Issuer.Servers(), CA: string(d.Issuer.CA()), Gossip: gossip.Keys})
}

// question answers an agent that asks for its grant anew. Only the key that it joined with is signed again, and only while it
// counts and the catalog has the host: who is told nothing lapses by itself.
func (d *Enroller) question(ctx context.Context, host string, question []byte) []byte {
	key, ok := wire.WantsGrant(question)
	if !ok {
		return nil
	}
	grant, err := d.renew(ctx, host, key)
	d.strangers.note(d.Now(), host, errors.Is(err, errStranger))
	if err != nil {
		if d.denied.Allow(d.Now(), host) {
			d.Logger.Warn().Err(err).Str("host", host).Msg("agent credentials not renewed")
		}
		return nil
	}
	return grant
}

func (d *Enroller) renew(ctx context.Context, host, key string) ([]byte, error) {
	gossip, _, err := d.keyring(ctx)
	if err != nil {
		return nil, err
	}
	agent, err := d.Members.Agent(ctx, host)
	switch {
	case errors.Is(err, ledger.ErrNoAgent):
		return nil, fmt.Errorf("%s: %w", host, errStranger)
	case err != nil:
		return nil, err
	case key != "" && key != agent.PublicKey:
		return nil, d.otherKey(ctx, host, key)
	case !agent.Revoked.IsZero():
		return nil, fmt.Errorf("%s is revoked", host)
	case !d.Members.KnownHost(host):
		return nil, fmt.Errorf("%s: %w", host, ErrUnknownHost)
	}
	return d.grant(host, agent.PublicKey, gossip)
}
