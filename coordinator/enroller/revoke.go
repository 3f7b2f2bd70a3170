package enroller

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Revoke ends the membership of the host's agent: its connection is closed, its key is no longer accepted, and the
// other agents get another gossip key. It reports whether the agent was revoked before.
func (e *Enroller) Revoke(ctx context.Context, host string) (already bool, err error) {
	key := mesh.Key(host)
	agent, err := e.Members.AgentOf(ctx, key)
	switch {
	case isNoAgent(err) && !e.Members.KnownHost(key):
		return false, fmt.Errorf("%s: %w, and no agent of that name ever joined", host, ErrUnknownHost)
	case isNoAgent(err):
		return false, errkind.New(errkind.NotFound, host+" never joined: there is nothing to revoke")
	case err != nil:
		return false, err
	}
	// NATS first: it matters most that the agent is disconnected, and repeating the command after an error completes
	// both.
	if err := e.Issuer.Revoke(ctx, agent.PublicKey); err != nil {
		return false, err
	}
	if already = !agent.Revoked.IsZero(); !already {
		e.Logger.Info().Str("host", key).Msg("agent revoked")
		if err := e.Members.Revoked(ctx, cmp.Or(agent.Name, key), agent.PublicKey); err != nil {
			return false, err
		}
	}
	// The keyring last: from now on the ledger refuses the agent's requests for credentials, so that it cannot get the
	// new key.
	return already, e.replaceKeyring(ctx)
}

const revokeRetry = 5 * time.Second

// revokeEndedKeys revokes on NATS what the ledger has as ended, also credentials with former names, once: an earlier
// process may have stopped between the two.
func (e *Enroller) revokeEndedKeys(ctx context.Context) error {
	for {
		keys, err := e.Members.EndedKeys(ctx)
		if err == nil && len(keys) > 0 {
			err = e.Issuer.Revoke(ctx, keys...)
		}
		if err == nil {
			err = renamer{e}.revokeFormerNames(ctx)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			e.Logger.Error().Err(err).Msg("revoked keys not revoked on NATS, retrying")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(revokeRetry):
		}
	}
}
