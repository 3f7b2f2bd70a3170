package gossip

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// keysMax is how many keys a ring may hold: the present one, the next one, and some of slow rotations. Every datagram
// of a stranger costs a try with each.
const keysMax = 4

func checkKeys(keys [][]byte) error {
	if len(keys) > keysMax {
		return fmt.Errorf("%d gossip keys: %d are enough for any rotation", len(keys), keysMax)
	}
	for i, k := range keys {
		if err := memberlist.ValidateKey(k); err != nil {
			return fmt.Errorf("gossip key %d: %w", i+1, err)
		}
	}
	return nil
}

// turn gives the running ring these keys. What is no more on it is brought to the end first: memberlist takes a key
// out of the middle of a list that others may be reading.
func (g *Gossip) replaceKeys(keys [][]byte) {
	switch {
	case g.ring == nil:
		return
	case len(keys) == 0:
		g.leave()
		return
	}
	for _, k := range keys {
		_ = g.ring.AddKey(k) // checked by SetKeys
	}
	for _, k := range slices.Backward(keys) {
		_ = g.ring.UseKey(k) // it is on the ring
	}
	have := g.ring.GetKeys()
	for _, k := range slices.Backward(have) {
		if !slices.ContainsFunc(keys, func(kept []byte) bool { return bytes.Equal(kept, k) }) {
			_ = g.ring.RemoveKey(k) // never the first
		}
	}
	g.Logger.Info().Int("keys", len(keys)).Msg("gossip has new keys")
}
