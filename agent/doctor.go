package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/agent/doctor"
	"github.com/probemesh/probemesh/agent/node"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/gossip"
)

func newDoctorCommand() *cobra.Command {
	var x node.Examination
	cmd := &cobra.Command{
		Use:   "doctor [TOKEN|-|file:PATH]",
		Short: "Examine this machine and suggest remedies",
		Long: "Doctor examines the state directory and its disk, the resolver, the routes, the coordinator's port\n" +
			"and certificate, the clock, the credentials, the permission to ping and the gossip port. It prints\n" +
			"one finding a line, with a remedy where there is one, and exits 1 where it finds a fault. Before `agent join`,\n" +
			"name the token: it says which coordinator to examine.",
		Example: "  agent doctor\n  agent doctor pm1-eyJoIjoibmMwMzYi...",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) > 0 {
				if x.Token, err = node.ReadToken(args[0], cmd.InOrStdin()); err != nil {
					return command.Usage(err)
				}
			}
			healthy := true
			node.Examine(cmd.Context(), x, func(f doctor.Finding) {
				healthy = healthy && f.Level != doctor.Fault
				writeFinding(command.Printable(cmd.OutOrStdout()), f)
			})
			if !healthy {
				return command.ErrReported
			}
			return nil
		},
	}
	examinationFlags(cmd, &x)
	return cmd
}

func examinationFlags(cmd *cobra.Command, x *node.Examination) {
	stateFlag(cmd, &x.State)
	flags := cmd.Flags()
	flags.StringVar(&x.GossipListen, "gossip-listen", gossip.DefaultListen, "address to gossip at; empty: none")
	flags.DurationVar(&x.ClockOffset, "clock-offset", 0, "add this to the machine's clock; for tests")
	flags.StringVar(&x.Resolver, "resolver", "", "address and port of a resolver in place of the machine's; for tests")
	hiddenFlag(cmd, "clock-offset")
	hiddenFlag(cmd, "resolver")
}

// writeFinding prints one finding, and its remedy on a line below.
func writeFinding(out io.Writer, f doctor.Finding) {
	fmt.Fprintf(out, "%-6s  %-6s  %s\n", f.Level, f.Subject, command.WithProgramNames(f.Text))
	if f.Remedy != "" {
		fmt.Fprintf(out, "%16sto fix it: %s\n", "", command.WithProgramNames(f.Remedy))
	}
}
