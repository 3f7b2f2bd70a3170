package main

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/gossip"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/spool"
)

func newRunCommand() *cobra.Command {
	var state, listen string
	var clock time.Duration
	var allow []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Probe and publish until told to stop",
		Long: "Run looks at what the catalog says and at what the coordinator asks, within caps of its own: at most 20 probes a second\n" +
			"to one address. With --allow, or a file " + allowFile + " in the state directory with an entry a line, it probes nothing else,\n" +
			"whatever the catalog says, so that a coordinator that was stolen cannot turn the mesh against others.",
		Example: "  agent run\n  agent run --allow 192.0.2.0/24,mail.example.net,203.0.113.7:443",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			identity, err := identity.Load(state)
			if err != nil {
				return err
			}
			permitted, err := allowed(state, allow)
			if err != nil {
				return command.Usage(err)
			}
			return run(cmd.Context(), identity, state, listen, clock, permitted, cmd)
		},
	}
	stateFlag(cmd, &state)
	command.AddLogFlag(cmd)
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "probe only these networks, addresses and names, as in 192.0.2.0/24,mail.example.net:25")
	cmd.Flags().StringVar(&listen, "gossip-listen", gossip.DefaultListen, "address and port to gossip with other agents at; empty: none")
	cmd.Flags().DurationVar(&clock, "clock-offset", 0, "pretend that this machine's clock is off by so much: for tests")
	_ = cmd.Flags().MarkHidden("clock-offset") // the flag is there
	return cmd
}

func run(ctx context.Context, identity identity.Identity, state, listen string, clock time.Duration, allow *probe.Allow, cmd *cobra.Command) error {
	limitProcs()
	log := command.NewLogger(cmd)
	rumours, leave, err := startGossip(ctx, listen, identity, log)
	if err != nil {
		return err
	}
	defer leave()
	renewer := newRenewer(state, identity, rumours, log)
	conn, err := bus.DialAgent(ctx, bus.AgentConfig{
		Name: identity.Name, Servers: identity.Servers, JWT: identity.JWT, JWTFunc: renewer.JWT, Seed: identity.Seed, CA: identity.CA,
		Former: identity.FormerWay(),
		Logger: log.With().Str("component", "bus").Logger(),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	asked := make(vantage.Requests)
	wait, err := serveStatus(ctx, state, asked, conn.Link, log)
	if err != nil {
		cancel()
		return err
	}
	defer wait()
	var renewing sync.WaitGroup
	renewing.Go(func() { renewer.Run(ctx, conn) })
	defer renewing.Wait()
	defer cancel()
	return vantage.Run(ctx, vantage.Config{
		Name: identity.Name, Version: command.Version(), Bus: conn, Renew: renewer.Renew, Network: probe.Kernel{}, Allow: allow, Requests: asked, Gossip: rumours, ClockOffset: clock,
		Spool: spool.Config{Dir: filepath.Join(state, "spool")}, Watchdog: command.NewWatchdog().Alive,
		Logger: log.With().Str("component", "vantage").Logger(),
	})
}
