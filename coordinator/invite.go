package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/command"
)

func newInviteCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "invite HOST",
		Short: "Print a token with which the host's agent may join: once, within an hour",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := admin.NewClient(data).Invite(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "on %s, within an hour:\n  %s join %s\n", args[0], command.ProgramName("agent"), token)
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
