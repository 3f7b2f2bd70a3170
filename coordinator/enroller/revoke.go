package enroller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Revoke ends the membership of the host's agent: its connection is closed, its key opens nothing any more, and the
// agents that stay are given another gossip key. It reports whether that was so already.
func (d *Enroller) Revoke(ctx context.Context, host string) (already bool, err error) {
	key := mesh.Key(host)
	agent, err := d.Members.Agent(ctx, key)
	switch {
	case errors.Is(err, ledger.ErrNoAgent) && !d.Members.KnownHost(key):
		return false, fmt.Errorf("%s: %w, and no agent of that name ever joined", host, ErrUnknownHost)
	case errors.Is(err, ledger.ErrNoAgent):
		return false, fmt.Errorf("%s never joined: there is nothing to revoke", host)
	case err != nil:
		return false, err
	}
	// The bus first: that the agent is gone matters most, and whoever repeats the command after an error ends it in both.
	if err := d.Issuer.Revoke(ctx, agent.PublicKey); err != nil {
		return false, err
	}
	if already = !agent.Revoked.IsZero(); !already {
		d.Logger.Info().Str("host", key).Msg("agent revoked")
		if err := d.Members.Revoked(ctx, key, agent.PublicKey); err != nil {
			return false, err
		}
	}
	// Last: whoever asks for its grant from now on is checked against the ledger, see grant.
	return already, d.replaceKeyring(ctx)
}

// enrol notes the agent's key. The one that it replaces, of a disk that was lost or of somebody else, ends.
func (d *Enroller) enrol(ctx context.Context, host, publicKey string) error {
	before, err := d.Members.Agent(ctx, host)
	if err != nil && !errors.Is(err, ledger.ErrNoAgent) {
		return err
	}
	if err := d.Members.Enrolled(ctx, host, publicKey); err != nil {
		return err
	}
	if before.PublicKey == "" || before.PublicKey == publicKey {
		return nil
	}
	d.Logger.Info().Str("host", host).Msg("the key that this host joined with before is revoked")
	return d.Issuer.Revoke(ctx, before.PublicKey)
}

// standing refuses a key that has ended, and a token that is older than its host's revocation.
func (d *Enroller) standing(ctx context.Context, r record, publicKey string) error {
	gone, err := d.Members.EndedKeys(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(gone, publicKey) {
		return ended
	}
	agent, err := d.Members.Agent(ctx, r.Host)
	if errors.Is(err, ledger.ErrNoAgent) {
		return nil
	}
	if err == nil && agent.Revoked.After(r.Expires.Add(-Lifetime)) {
		return revoked
	}
	return err
}

const sweepRetry = 5 * time.Second

// sweep ends on the bus what the ledger says has ended: a coordinator that was down, or died between the two, catches up.
func (d *Enroller) sweep(ctx context.Context) error {
	for {
		keys, err := d.Members.EndedKeys(ctx)
		if err == nil && len(keys) > 0 {
			err = d.Issuer.Revoke(ctx, keys...)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			d.Logger.Error().Err(err).Msg("revoked keys could not be revoked on the bus; trying again")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sweepRetry):
		}
	}
}
