package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/doctor"
	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/localstatus"
	"github.com/probemesh/probemesh/agent/node"
	"github.com/probemesh/probemesh/pkg/command"
)

func newJoinCommand() *cobra.Command {
	x := node.Examination{Joining: true}
	cmd := &cobra.Command{
		Use:   "join TOKEN|-|file:PATH",
		Short: "Join the mesh with a token",
		Long: "Join takes the token that `coordinator invite HOST` printed. It makes this server's key in the\n" +
			"state directory, proves the token to the coordinator, and stores the credentials that it receives.\n" +
			"The key never leaves the server, and a token works once.\n\n" +
			"First it examines the machine as `agent doctor` does. Only a wrong token, a closed port or a\n" +
			"certificate of another mesh keeps it from joining. Run as root, it acts as the owner of an\n" +
			"existing state directory, so that the service's user can read the credentials.\n\n" +
			"Other users of a machine can see the arguments of its programs: \"-\" reads the token from standard\n" +
			"input, and file:PATH from a file.",
		Example: "  agent join pm1-eyJoIjoibmMwMzYi...\n" +
			"  ssh coordinator.example.net coordinator invite NC036 | agent join -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if x.Token, err = node.ReadToken(args[0], cmd.InOrStdin()); err != nil {
				return command.Usage(err)
			}
			if err := preflight(cmd, x); err != nil {
				return err
			}
			if err := command.BecomeOwner(x.State); err != nil {
				return err
			}
			id, err := identity.Join(cmd.Context(), x.Token, x.State, nil)
			if err != nil {
				return err
			}
			program, out := command.ProgramName("agent"), command.Printable(cmd.OutOrStdout())
			if localstatus.Running(x.State) {
				fmt.Fprintf(out, "joined as %s; restart the agent that runs: it has the former credentials\n",
					id.Name)
				return nil
			}
			fmt.Fprintf(out, "joined as %s; now: %s run --state %s\n", id.Name, program, x.State)
			return nil
		},
	}
	examinationFlags(cmd, &x)
	return cmd
}

// preflight examines the machine. It returns the first finding that prevents joining, and prints other faults.
func preflight(cmd *cobra.Command, x node.Examination) (err error) {
	node.Examine(cmd.Context(), x, func(f doctor.Finding) {
		switch {
		case f.PreventsJoin() && err == nil:
			err = fmt.Errorf("%s: %s; to fix it: %s", f.Subject, f.Text, f.Remedy)
		case f.Level == doctor.Fault:
			writeFinding(command.Printable(cmd.ErrOrStderr()), f)
		}
	})
	return err
}
