// Command agent runs on every server of the mesh: it joins once, then probes the other servers and publishes its
// observations. This package holds the command line alone; agent/node is the running agent.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command.Run(ctx, newRootCommand()))
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Probe the other servers of the mesh",
		Long: "The agent runs on every server of the mesh. It joins once, with a token of the coordinator; then\n" +
			"it probes the other servers as the catalog says, and publishes its observations over NATS.",
		Example: "  agent doctor pm1-eyJoIjoibmMwMzYi...\n  agent join pm1-eyJoIjoibmMwMzYi...\n  agent run",
		Version: command.Version(),
		Args:    cobra.NoArgs,
	}
	root.AddCommand(newJoinCommand(), newRunCommand(), newStatusCommand(), newDoctorCommand(), newProbeCommand())
	return root
}

func stateFlag(cmd *cobra.Command, state *string) {
	cmd.Flags().StringVar(state, "state", command.StateDirectory("agent"), "directory of the credentials and the spool")
}

func hiddenFlag(cmd *cobra.Command, name string) {
	if err := cmd.Flags().MarkHidden(name); err != nil {
		panic(err) // the flag was not defined
	}
}
