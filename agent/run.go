package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/enrol"
	"github.com/probemesh/probemesh/agent/vantage"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/probe"
)

func newRunCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Probe and publish until told to stop",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			identity, err := enrol.Load(state)
			if err != nil {
				return err
			}
			return run(cmd.Context(), identity, cmd)
		},
	}
	stateFlag(cmd, &state)
	return cmd
}

func run(ctx context.Context, identity enrol.Identity, cmd *cobra.Command) error {
	log := newLogger(cmd)
	conn, err := bus.DialAgent(ctx, bus.AgentConfig{
		Name: identity.Name, Servers: identity.Servers, JWT: identity.JWT, Seed: identity.Seed, CA: identity.CA,
		Logger: log.With().Str("component", "bus").Logger(),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	return vantage.Run(ctx, vantage.Config{
		Name: identity.Name, Version: command.Version(), Bus: conn, Network: probe.Kernel{},
		Logger: log.With().Str("component", "vantage").Logger(),
	})
}
