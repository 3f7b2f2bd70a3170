package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
)

func newRotateCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "rotate-gossip-key",
		Short: "Give the agents another gossip key, in steps, without any two of them losing each other",
		Long: "The new key is first understood by all, then spoken with, and at last the old one ends. Between the steps the agents\n" +
			"have two hours to fetch it; they are told at once. The running coordinator does it; a restart goes on where it was.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := admin.NewClient(data).RotateGossipKey(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the new gossip key is with the agents; the old one ends about %s\n", done.UTC().Format(time.RFC3339))
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
