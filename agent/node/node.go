// Package node is a running agent: the one place that joins its identity, the bus, gossip, the vantage and the local
// socket. Run is `agent run`. Status, Examine, ProbeOnce and what reads arguments serve the other commands.
package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/dirlock"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/spool"
)

// Config configures an agent that has joined.
type Config struct {
	State        string       // the state directory
	Allow        *probe.Allow // what it may probe; nil permits everything
	GossipListen string       // address and port to gossip at; empty: it does not gossip
	Version      string
	ClockOffset  time.Duration       // added to this machine's clock; only tests set it
	Watchdog     func(now time.Time) // see vantage.Config
	Logger       zerolog.Logger
}

// Run runs an agent until ctx ends, and returns after everything it started has ended. It fails where the agent has
// not joined, or where another agent uses the state directory. Nothing else stops it: what is missing is logged and
// tried again.
func Run(ctx context.Context, c Config) error {
	// Before anything else: a second agent with the same identity would take the place of the first at NATS.
	lock, err := dirlock.Acquire(c.State)
	var inUse *dirlock.InUseError
	switch {
	case errors.As(err, &inUse):
		return fmt.Errorf("another agent runs on %s: %w; stop it, or name another directory with --state", c.State, err)
	case err != nil: // a disk that fails does not stop an agent
		c.Logger.Warn().Err(err).Msg("state directory not locked")
	default:
		defer lock.Release()
	}
	for {
		renamed, err := run(ctx, c)
		if err != nil || !renamed || ctx.Err() != nil {
			return err
		}
	}
}

// run runs an agent until ctx ends, or until it reports that the agent's credentials have another name.
func run(ctx context.Context, c Config) (renamed bool, err error) {
	id, err := identity.Load(c.State)
	if err != nil {
		return false, err
	}
	g, err := c.startGossip(ctx, id)
	if err != nil {
		return false, err
	}
	if g != nil {
		defer g.Close()
	}
	renewer := identity.NewRenewer(identity.RenewerConfig{
		Dir: c.State, Identity: id, Gossip: c.setKeys(g), Logger: c.logger("identity"),
	})
	conn, err := c.dial(ctx, id, renewer)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	requests := make(vantage.Requests)
	if err := c.serveStatus(ctx, &tasks, requests, conn.Link); err != nil {
		return false, err
	}
	tasks.Go(func() {
		renewer.Run(ctx, conn)
		cancel() // the agent has another name now, unless all ends
	})
	config := vantage.Config{
		Name: id.Name, Version: c.Version, Bus: conn, Network: probe.Kernel{}, Allow: c.Allow, Requests: requests,
		Spool: spool.Config{Dir: filepath.Join(c.State, "spool")}, Renew: renewer.Renew, ClockOffset: c.ClockOffset,
		Watchdog: c.Watchdog, Logger: c.logger("vantage"),
	}
	if g != nil { // a nil *Gossip in the interface would not be nil
		config.Gossip = g
	}
	err = vantage.Run(ctx, config)
	select {
	case <-renewer.Named():
		return true, err
	default:
		return false, err
	}
}

func (c Config) dial(ctx context.Context, id identity.Identity, r *identity.Renewer) (*busagent.Conn, error) {
	return busagent.Dial(ctx, busagent.Config{
		Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT, JWTFunc: r.JWT, Seed: id.Seed,
		Former: id.FormerEndpoint(), Logger: c.logger("bus"),
	})
}

func (c Config) logger(component string) zerolog.Logger {
	return c.Logger.With().Str("component", component).Logger()
}

// startGossip returns nil where the agent is not to gossip.
func (c Config) startGossip(ctx context.Context, id identity.Identity) (*gossip.Gossip, error) {
	if c.GossipListen == "" {
		return nil, nil
	}
	key, err := bus.SigningKey(id.Seed)
	if err != nil {
		return nil, err
	}
	return gossip.Start(ctx, gossip.Config{
		Name: id.Name, Version: c.Version, Listen: c.GossipListen, Key: key, Keys: id.Gossip,
		Logger: c.logger("gossip"),
	})
}

// setKeys returns what hands renewed keys to gossip, or nil without gossip.
func (c Config) setKeys(g *gossip.Gossip) func(keys [][]byte) {
	if g == nil {
		return nil
	}
	return func(keys [][]byte) {
		if err := g.SetKeys(keys); err != nil {
			c.Logger.Error().Err(err).Msg("gossip keys rejected")
		}
	}
}
