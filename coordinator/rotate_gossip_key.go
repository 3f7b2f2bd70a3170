package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

const rotateLong = `
Agents encrypt their gossip with one shared key. Rotate-gossip-key replaces it in steps: agents
first accept the new key, then use it, then drop the old one. Between two steps they have two hours
to fetch the change, so no two agents lose each other. The running coordinator does it and continues
after a restart.

Do it when the key may have leaked. "coordinator revoke" does it by itself, at once.`

func newRotateGossipKeyCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "rotate-gossip-key",
		Short:   "Replace the agents' gossip key step by step",
		Long:    rotateLong,
		Example: "  coordinator rotate-gossip-key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			done, err := client.RotateGossipKey(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "agents receive the new gossip key now and drop the old one about %s\n",
				done.UTC().Format(time.RFC3339))
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
