package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/gossip"
)

// startGossip begins to gossip with the other agents, unless listen is empty. It returns what ends it.
func startGossip(ctx context.Context, listen string, identity identity.Identity, log zerolog.Logger) (vantage.Gossip, func(), error) {
	if listen == "" {
		return nil, func() {}, nil
	}
	key, err := bus.SigningKey(identity.Seed)
	if err != nil {
		return nil, nil, err
	}
	g, err := gossip.Start(ctx, gossip.Config{
		Name: identity.Name, Version: command.Version(), Listen: listen, Key: key, Keys: identity.Gossip,
		Logger: log.With().Str("component", "gossip").Logger(),
	})
	if err != nil {
		return nil, nil, command.Usage(err)
	}
	return g, g.Close, nil
}

// gossipWords are the peers for a person.
func gossipWords(s vantage.Snapshot) string {
	switch {
	case !s.Gossips:
		return "none"
	case len(s.Peers) == 0:
		return "no peers yet"
	}
	words := make([]string, len(s.Peers))
	for i, p := range s.Peers {
		words[i] = fmt.Sprintf("%s %s", p.Name, p.State)
		if p.State == gossip.Alive && p.RTT > 0 {
			words[i] += fmt.Sprintf(" %.1f ms", float64(p.RTT)/float64(time.Millisecond))
		} else if p.State != gossip.Alive {
			words[i] += " since " + when(p.Since)
		}
	}
	return fmt.Sprintf("%d peers: %s", len(s.Peers), strings.Join(words, ", "))
}
