package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/node"
	"github.com/probemesh/probemesh/pkg/command"
)

func newStatusCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the agent on this machine sees",
		Long: "Status asks the agent that runs on the state directory for its latest observation of every check,\n" +
			"the state of its connection to NATS, the batches that wait for delivery, and its gossip peers. It\n" +
			"asks nobody else, so it works while the coordinator or the network is down.",
		Example: "  agent status\n  agent status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := node.Status(cmd.Context(), state)
			if err != nil {
				return err
			}
			if !asJSON {
				return r.WriteText(command.Printable(cmd.OutOrStdout()))
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(r)
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
