package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/command"
)

func newRevokeCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "revoke HOST",
		Short: "End the membership of the host's agent: it is off the bus at once and its key opens nothing any more",
		Long: "Revoke closes the agent's connection and ends its key, for good. The agents that stay receive a new gossip key at once;\n" +
			"they ignore packets from the revoked host, and gossip may pause for seconds. The host stays in the catalog and is\n" +
			"watched by the others; `coordinator invite HOST` lets an agent of it join again, with a new key.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			already, err := admin.NewClient(data).Revoke(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case already:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: was revoked already\n", args[0])
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: revoked, its agent is off the bus; to let it join again: %s invite %[1]s\n",
					args[0], command.ProgramName("coordinator"))
			}
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
