package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/pkg/command"
)

func newJoinCommand() *cobra.Command {
	var x examination
	cmd := &cobra.Command{
		Use:   "join TOKEN|-|file:PATH",
		Short: "Join the mesh with the token that `coordinator invite HOST` printed",
		Long: "Join makes this server's own key in the state directory, proves the token to the coordinator it names, and\n" +
			"keeps the credentials it is given. The key never leaves the server; the token is used up. It has the doctor look\n" +
			"first, and only a wrong token, a shut port or a foreign certificate keep it from joining.\n" +
			"Root acts as the owner of a state directory that is there, so that the service's user can read what is kept.\n" +
			"Other users of a machine can see the arguments of its programs: \"-\" reads the token from standard input, and\n" +
			"file:PATH from a file.",
		Example: "  agent join pm1-eyJoIjoibmMwMzYi...\n  ssh coordinator.example.net coordinator invite NC036 | agent join -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := readToken(args[0], cmd.InOrStdin())
			if err != nil {
				return command.Usage(err)
			}
			if err := x.refuse(cmd, token); err != nil {
				return err
			}
			if err := command.BecomeOwner(x.state); err != nil {
				return err
			}
			identity, err := identity.Join(cmd.Context(), token, x.state, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "joined as %s; now: %s run --state %s\n", identity.Name, command.ProgramName("agent"), x.state)
			return nil
		},
	}
	x.flags(cmd)
	return cmd
}

func stateFlag(cmd *cobra.Command, state *string) {
	cmd.Flags().StringVar(state, "state", command.StateDirectory("agent"), "directory of the key and credentials")
}
