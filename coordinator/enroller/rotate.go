package enroller

import (
	"context"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/wire"
)

// Settle is how long a step of a rotation lasts: agents are told at once and ask every hour, a tenth more at most, even when
// they do not hear it.
const Settle = 2 * time.Hour

const rotateRetry = time.Minute // after a step that failed, and between looks for one that another coordinator began

// step is how far a rotation of the gossip key is. A step only comes when agents had time to fetch what the one before made, so
// that at no moment two of them share no key.
type step string

const (
	resting   step = ""          // one key
	adding    step = "adding"    // the new key is known to all before anybody speaks with it
	switching step = "switching" // it is spoken with; the old one is still understood
)

// next is the keyring of the next step, once its time has come.
func (k keyring) next(now time.Time, settle time.Duration) (next keyring, ok bool) {
	if k.Step == resting || len(k.Keys) != 2 || now.Sub(k.Since) < settle {
		return k, false
	}
	if k.Step == adding {
		return keyring{Keys: [][]byte{k.Keys[1], k.Keys[0]}, Since: now, Step: switching, Ended: k.Ended}, true
	}
	return keyring{Keys: k.Keys[:1], Since: now, Ended: k.Ended}, true
}

// RotateGossipKey starts the rotation to another gossip key, and returns when the old one will have ended. Run drives
// it on, in any coordinator.
func (d *Enroller) RotateGossipKey(ctx context.Context) (done time.Time, err error) {
	k, revision, err := d.keyring(ctx)
	if err != nil {
		return done, err
	}
	if k.Step != resting {
		return done, fmt.Errorf("the gossip key is being rotated already: step %q since %s; each step takes %s", k.Step, d.wall(k.Since).Format(time.RFC3339), d.Settle)
	}
	key, err := newGossipKey()
	if err != nil {
		return done, err
	}
	begun := keyring{Keys: [][]byte{k.Keys[0], key}, Since: d.Now(), Step: adding, Ended: k.Ended}
	if err := d.setKeyring(ctx, begun, revision); err != nil {
		return done, err
	}
	d.tellRenew(ctx, adding)
	select {
	case d.rotated <- struct{}{}:
	default:
	}
	return d.wall(begun.Since.Add(2 * d.Settle)), nil
}

// wall is what the wall clock shows at a mesh time.
func (d *Enroller) wall(at time.Time) time.Time { return time.Now().Add(at.Sub(d.Now())).UTC() }

// rotate drives a rotation from step to step until ctx ends.
func (d *Enroller) rotate(ctx context.Context) error {
	for {
		wait, err := d.turn(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			wait = rotateRetry
			d.Logger.Error().Err(err).Msg("the gossip key is not rotated on; trying again")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		case <-d.rotated:
		}
	}
}

// turn takes the next step if it is due, and returns when to check again. It also replaces a keyring that an agent
// whose key ended may still have: when a host joins again, when Revoke died halfway, or when another coordinator
// revoked.
func (d *Enroller) turn(ctx context.Context) (wait time.Duration, err error) {
	if err := d.replaceKeyring(ctx); err != nil {
		return 0, err
	}
	k, revision, err := d.keyring(ctx)
	if err != nil {
		return 0, err
	}
	next, ok := k.next(d.Now(), d.Settle)
	if !ok {
		if k.Step == resting {
			return rotateRetry, nil
		}
		return min(max(k.Since.Add(d.Settle).Sub(d.Now()), time.Millisecond), rotateRetry), nil
	}
	if err := d.setKeyring(ctx, next, revision); err != nil {
		return 0, err
	}
	d.tellRenew(ctx, next.Step)
	return min(d.Settle, rotateRetry), nil
}

// tellRenew has the agents ask for the keyring now. One that does not hear it asks within the hour.
func (d *Enroller) tellRenew(ctx context.Context, s step) {
	data, err := wire.EncodeControl(wire.Control{Renew: true})
	if err == nil {
		err = d.Bus.Broadcast(ctx, data)
	}
	d.Logger.Info().AnErr("untold", err).Str("step", string(s)).Msg("the gossip keys are others")
}
