package enrol

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
}

// keyring reads the keyring, or makes the first key.
func (d *Desk) keyring(ctx context.Context) (k keyring, revision uint64, err error) {
	data, revision, err := d.Bus.Enrolment(ctx, keyringPlace)
	if errors.Is(err, bus.ErrNotThere) {
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
func (d *Desk) firstKeyring(ctx context.Context) error {
	key, err := newGossipKey()
	if err != nil {
		return err
	}
	err = d.setKeyring(ctx, keyring{Keys: [][]byte{key}, Since: d.Now()}, 0)
	if _, _, there := d.Bus.Enrolment(ctx, keyringPlace); there == nil {
		return nil
	}
	return err
}

func (d *Desk) setKeyring(ctx context.Context, k keyring, revision uint64) error {
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
