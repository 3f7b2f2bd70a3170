package enroller

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/wire"
)

// keyringKey is the keyring's key in the enrolment bucket. All coordinators give agents the same keyring.
const keyringKey = "gossip"

// keyring is the gossip keys. Agents encrypt with the first and accept all of them.
type keyring struct {
	Keys  [][]byte  `json:"keys"`
	Since time.Time `json:"since"` // when the keys became these
	Step  step      `json:"step,omitempty"`
	// Ended is how many agents' keys had ended when the keyring was created. If it differs from the number now, an
	// agent that no longer belongs may have the gossip keys.
	Ended int `json:"ended,omitempty"`
}

// keyring reads the keyring, or creates the first one.
func (e *Enroller) keyring(ctx context.Context) (k keyring, revision uint64, err error) {
	data, revision, err := e.Bus.Enrolment(ctx, keyringKey)
	if errors.Is(err, bus.ErrNotFound) {
		if err := e.createKeyring(ctx); err != nil {
			return k, 0, err
		}
		data, revision, err = e.Bus.Enrolment(ctx, keyringKey)
	}
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil {
		return k, 0, fmt.Errorf("read the gossip keys: %w", err)
	}
	return k, revision, nil
}

// createKeyring creates a keyring if there is none. If another coordinator is faster, that one's is used.
func (e *Enroller) createKeyring(ctx context.Context) error {
	ended, err := e.Members.EndedKeys(ctx)
	if err != nil {
		return err
	}
	key, err := newGossipKey()
	if err != nil {
		return err
	}
	err = e.setKeyring(ctx, keyring{Keys: [][]byte{key}, Since: e.Now(), Ended: len(ended)}, 0)
	if _, _, readErr := e.Bus.Enrolment(ctx, keyringKey); readErr == nil {
		return nil
	}
	return err
}

// replaceTries bounds the attempts to replace the keyring while another coordinator, or a step of a rotation, changes
// it too.
const replaceTries = 5

// replaceKeyring replaces the gossip keys by a new one if an agent's key ended since they were created. It is not a
// rotation: the old keys are not accepted any more, and gossip pauses between agents of which only one has the new key.
// A rotation in progress ends, because the revoked agent may have its next key.
func (e *Enroller) replaceKeyring(ctx context.Context) (err error) {
	for range replaceTries {
		// Counted before the keyring is read, so that a key that ends meanwhile has it replaced again.
		ended, err := e.Members.EndedKeys(ctx)
		if err != nil {
			return err
		}
		k, revision, err := e.keyring(ctx)
		if err != nil || k.Ended == len(ended) {
			return err
		}
		key, err := newGossipKey()
		if err != nil {
			return err
		}
		next := keyring{Keys: [][]byte{key}, Since: e.Now(), Ended: len(ended)}
		if err = e.setKeyring(ctx, next, revision); err == nil {
			e.announceKeyring(ctx, next.Step)
			return nil
		}
	}
	return errkind.New(errkind.Conflict,
		fmt.Sprintf("replace the gossip keys: changed concurrently; tried %d times", replaceTries))
}

func (e *Enroller) setKeyring(ctx context.Context, k keyring, revision uint64) error {
	data, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("write the gossip keys: %w", err)
	}
	return e.Bus.SetEnrolment(ctx, keyringKey, data, revision)
}

func newGossipKey() ([]byte, error) {
	key := make([]byte, wire.GossipKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("create a gossip key: %w", err)
	}
	return key, nil
}
