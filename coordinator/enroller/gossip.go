package enroller

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/wire"
)

// keyringPlace is where the enrolment bucket keeps the keyring: all coordinators give agents the same one.
const keyringPlace = "gossip"

// keyring is the keys that agents gossip with, the one they speak with first.
type keyring struct {
	Keys  [][]byte  `json:"keys"`
	Since time.Time `json:"since"` // when the keys became these
	Step  step      `json:"step,omitempty"`
	// Ended is how many agents' keys had ended when the keyring was made: while it is another number than now,
	// an agent that is no longer a member may have its keys.
	Ended int `json:"ended,omitempty"`
}

// keyring reads the keyring, or makes the first key.
func (d *Enroller) keyring(ctx context.Context) (k keyring, revision uint64, err error) {
	data, revision, err := d.Bus.Enrolment(ctx, keyringPlace)
	if errors.Is(err, bus.ErrNotFound) {
		if err := d.firstKeyring(ctx); err != nil {
			return k, 0, err
		}
		data, revision, err = d.Bus.Enrolment(ctx, keyringPlace)
	}
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil {
		return k, 0, fmt.Errorf("the gossip keys: %w", err)
	}
	return k, revision, nil
}

// firstKeyring makes a keyring where there is none. Another coordinator may be quicker: then that one's counts.
func (d *Enroller) firstKeyring(ctx context.Context) error {
	ended, err := d.Members.EndedKeys(ctx)
	if err != nil {
		return err
	}
	key, err := newGossipKey()
	if err != nil {
		return err
	}
	err = d.setKeyring(ctx, keyring{Keys: [][]byte{key}, Since: d.Now(), Ended: len(ended)}, 0)
	if _, _, there := d.Bus.Enrolment(ctx, keyringPlace); there == nil {
		return nil
	}
	return err
}

const replaceTries = 5 // against another coordinator, or a step of a rotation

// replaceKeyring gives the agents that stay another gossip key, at once and without the old ones, if an agent's key
// ended since the keyring was made. Gossip pauses between agents of which only one has the new key. A rotation that
// is under way ends with it: the revoked agent may have its next key.
func (d *Enroller) replaceKeyring(ctx context.Context) (err error) {
	for range replaceTries {
		// First, so that a key that ends meanwhile makes it be replaced again.
		ended, err := d.Members.EndedKeys(ctx)
		if err != nil {
			return err
		}
		k, revision, err := d.keyring(ctx)
		if err != nil || k.Ended == len(ended) {
			return err
		}
		key, err := newGossipKey()
		if err != nil {
			return err
		}
		fresh := keyring{Keys: [][]byte{key}, Since: d.Now(), Ended: len(ended)}
		if err = d.setKeyring(ctx, fresh, revision); err == nil {
			d.tellRenew(ctx, fresh.Step)
			return nil
		}
	}
	return fmt.Errorf("replace the gossip keys: changed concurrently; tried %d times", replaceTries)
}

func (d *Enroller) setKeyring(ctx context.Context, k keyring, revision uint64) error {
	data, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("the gossip keys: %w", err)
	}
	return d.Bus.SetEnrolment(ctx, keyringPlace, data, revision)
}

func newGossipKey() ([]byte, error) {
	key := make([]byte, wire.GossipKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make a gossip key: %w", err)
	}
	return key, nil
}
