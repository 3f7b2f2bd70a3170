package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/command"
)

const revokeLong = `
Revoke disconnects the agent and revokes its key for good: use it when a host is retired or may be
compromised. The other agents receive a new gossip key at once and ignore packets from the revoked
host; gossip may pause for seconds.

The host stays in the catalog and the other agents go on probing it. "coordinator invite HOST" lets
a new agent join for it, with a new key.`

func newRevokeCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "revoke HOST",
		Short:   "Remove a host's agent from the mesh",
		Long:    revokeLong,
		Example: "  coordinator revoke NC036",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			already, err := client.Revoke(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if already {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: already revoked\n", args[0])
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: revoked and disconnected; to let it join again: %s invite %[1]s\n",
				args[0], command.ProgramName("coordinator"))
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
