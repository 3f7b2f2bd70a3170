package main

import (
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/node"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/gossip"
)

func newRunCommand() *cobra.Command {
	c := node.Config{Version: command.Version()}
	var allow []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Probe the mesh and publish observations",
		Long: "Run probes what the catalog and the coordinator ask for, at most 20 probes a second to one\n" +
			"address, until it is stopped. While NATS is away observations wait in the state directory.\n\n" +
			"With --allow, or a file " + node.AllowFile + " in the state directory with one entry a line, it probes\n" +
			"nothing else: a stolen coordinator then cannot turn the mesh against others.",
		Example: "  agent run\n  agent run --allow 192.0.2.0/24,mail.example.net,203.0.113.7:443",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.GossipListen != "" {
				if _, _, err := gossip.ParseListen(c.GossipListen); err != nil {
					return command.Usage(err)
				}
			}
			if c.Allow, err = node.LoadAllow(c.State, allow); err != nil {
				return command.Usage(err)
			}
			limitProcs()
			c.Logger, c.Watchdog = command.NewLogger(cmd), command.NewWatchdog().Alive
			return node.Run(cmd.Context(), c)
		},
	}
	stateFlag(cmd, &c.State)
	command.AddLogFlag(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&allow, "allow", nil, "probe only these, as in 192.0.2.0/24,mail.example.net:25")
	flags.StringVar(&c.GossipListen, "gossip-listen", gossip.DefaultListen, "address to gossip at; empty: none")
	flags.DurationVar(&c.ClockOffset, "clock-offset", 0, "add this to the machine's clock; for tests")
	hiddenFlag(cmd, "clock-offset")
	return cmd
}
