package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/command"
)

const inviteLong = `
Invite prints a token with which an agent joins the mesh for a host of the catalog: once, and within
an hour. The token alone is on standard output, for scripts; the command to run on the host is on
standard error.`

func newInviteCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "invite HOST",
		Short:   "Print a join token for a host",
		Long:    inviteLong,
		Example: "  coordinator invite NC036\n  coordinator invite NC036 | ssh nc036 agent join -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			token, err := client.Invite(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			// On standard error, so that a script that pipes the token elsewhere does not pipe this.
			fmt.Fprintf(command.Printable(cmd.ErrOrStderr()), "on %s, within an hour:\n  %s join %s\n",
				args[0], command.ProgramName("agent"), token)
			fmt.Fprintln(command.Printable(cmd.OutOrStdout()), token)
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
