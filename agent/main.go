// Command agent runs on every server of the mesh: it joins once, then probes the other servers and publishes what it sees.
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
		Use:     "agent",
		Short:   "Probe the other servers of the mesh and publish what is seen",
		Version: command.Version(),
		Args:    cobra.NoArgs,
	}
	root.AddCommand(newJoinCommand(), newRunCommand(), newStatusCommand(), newDoctorCommand(), newProbeCommand())
	return root
}
