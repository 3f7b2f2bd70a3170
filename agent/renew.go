package main

import (
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
)

// newRenewer keeps the agent's identity while it runs, and hands gossip the keys that it is given.
func newRenewer(state string, id identity.Identity, rumours vantage.Gossip, log zerolog.Logger) *identity.Renewer {
	c := identity.RenewerConfig{Dir: state, Identity: id, Logger: log.With().Str("component", "enrol").Logger()}
	if g, ok := rumours.(interface{ SetKeys(keys [][]byte) error }); ok {
		c.Gossip = func(keys [][]byte) {
			if err := g.SetKeys(keys); err != nil {
				c.Logger.Error().Err(err).Msg("new gossip keys cannot be used")
			}
		}
	}
	return identity.NewRenewer(c)
}
