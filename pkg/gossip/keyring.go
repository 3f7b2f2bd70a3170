package gossip

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// keysMax bounds a keyring: the present key, the next one, and some of slow rotations. memberlist tries each key on
// every datagram that it cannot decrypt.
const keysMax = 4

func checkKeys(keys [][]byte) error {
	if len(keys) > keysMax {
		return fmt.Errorf("%d gossip keys, more than %d", len(keys), keysMax)
	}
	for i, k := range keys {
		if err := memberlist.ValidateKey(k); err != nil {
			return fmt.Errorf("gossip key %d: %w", i+1, err)
		}
	}
	return nil
}

// replaceKeys gives the running keyring these keys. It puts those to be removed at the end first: memberlist removes
// a key from the middle of a slice that other goroutines may be reading.
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
		_ = g.ring.UseKey(k) // it was just added
	}
	have := g.ring.GetKeys()
	for _, k := range slices.Backward(have) {
		if !slices.ContainsFunc(keys, func(kept []byte) bool { return bytes.Equal(kept, k) }) {
			_ = g.ring.RemoveKey(k) // it fails only for the first, which is one of keys
		}
	}
	g.config.Logger.Info().Int("keys", len(keys)).Msg("gossip keys replaced")
}
