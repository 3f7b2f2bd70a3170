package enroller

import (
	"context"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Settle is how long a step of a rotation lasts. Agents are notified of it at once; one that misses the notification
// asks within an hour and six minutes.
const Settle = 2 * time.Hour

// rotateRetry is the wait after a step that failed, and between checks for a rotation that another coordinator began.
const rotateRetry = time.Minute

// step is how far a rotation of the gossip key is. The next step waits until every agent has had time to fetch the
// keyring of this one, so that at no time two agents share no key.
type step string

const (
	idle      step = ""          // one key
	adding    step = "adding"    // agents accept the new key and encrypt with the old one
	switching step = "switching" // agents encrypt with the new key and still accept the old one
)

// next returns the keyring of the next step, if it is due.
func (k keyring) next(now time.Time, settle time.Duration) (next keyring, ok bool) {
	if k.Step == idle || len(k.Keys) != 2 || now.Sub(k.Since) < settle {
		return k, false
	}
	if k.Step == adding {
		return keyring{Keys: [][]byte{k.Keys[1], k.Keys[0]}, Since: now, Step: switching, Ended: k.Ended}, true
	}
	return keyring{Keys: k.Keys[:1], Since: now, Ended: k.Ended}, true
}

// RotateGossipKey starts a rotation to a new gossip key, and returns when the old one will no longer be accepted. Run,
// in any coordinator, takes the further steps.
func (e *Enroller) RotateGossipKey(ctx context.Context) (done time.Time, err error) {
	k, revision, err := e.keyring(ctx)
	if err != nil {
		return done, err
	}
	if k.Step != idle {
		since := e.wallTime(k.Since).Format(time.RFC3339)
		return done, errkind.New(errkind.Conflict, fmt.Sprintf(
			"the gossip key is being rotated already: step %q since %s; each step takes %s", k.Step, since, e.Settle))
	}
	key, err := newGossipKey()
	if err != nil {
		return done, err
	}
	begun := keyring{Keys: [][]byte{k.Keys[0], key}, Since: e.Now(), Step: adding, Ended: k.Ended}
	if err := e.setKeyring(ctx, begun, revision); err != nil {
		return done, err
	}
	e.announceKeyring(ctx, adding)
	select {
	case e.rotated <- struct{}{}:
	default:
	}
	return e.wallTime(begun.Since.Add(2 * e.Settle)), nil
}

// wallTime converts mesh time to the time that the wall clock shows.
func (e *Enroller) wallTime(at time.Time) time.Time { return time.Now().Add(at.Sub(e.Now())).UTC() }

// rotate takes the steps of rotations until ctx ends.
func (e *Enroller) rotate(ctx context.Context) error {
	for {
		wait, err := e.advanceKeyring(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			wait = rotateRetry
			e.Logger.Error().Err(err).Msg("gossip key rotation failed, retrying")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		case <-e.rotated:
		}
	}
}

// advanceKeyring takes the next step of a rotation if it is due, and returns when to check again. It also replaces a
// keyring that an agent whose key ended may still have: because its host joined again, Revoke was interrupted, or
// another coordinator revoked it.
func (e *Enroller) advanceKeyring(ctx context.Context) (wait time.Duration, err error) {
	if err := e.replaceKeyring(ctx); err != nil {
		return 0, err
	}
	k, revision, err := e.keyring(ctx)
	if err != nil {
		return 0, err
	}
	next, ok := k.next(e.Now(), e.Settle)
	if !ok {
		if k.Step == idle {
			return rotateRetry, nil
		}
		return min(max(k.Since.Add(e.Settle).Sub(e.Now()), time.Millisecond), rotateRetry), nil
	}
	if err := e.setKeyring(ctx, next, revision); err != nil {
		return 0, err
	}
	e.announceKeyring(ctx, next.Step)
	return min(e.Settle, rotateRetry), nil
}

// announceKeyring notifies the agents that the keyring changed. An agent that misses it asks within the hour.
func (e *Enroller) announceKeyring(ctx context.Context, s step) {
	data, err := wire.EncodeControl(wire.Control{Renew: true})
	if err == nil {
		err = e.Bus.Broadcast(ctx, data)
	}
	e.Logger.Info().AnErr("broadcast", err).Str("step", string(s)).Msg("gossip keys changed")
}
