// Command coordinator reaches quorum on every host's status from what the agents see, and publishes it.
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
		Use:     "coordinator",
		Short:   "Reach quorum on every host's status from what the agents see, and publish it",
		Version: command.Version(),
		Args:    cobra.NoArgs,
	}
	root.AddCommand(
		newDemoCommand(), newServeCommand(), newCheckCommand(), newApplyCommand(), newInviteCommand(), newRevokeCommand(), newRotateCommand(), newNatsConfigCommand(),
		newStatusCommand(), newMatrixCommand(), newExplainCommand(), newVantagesCommand(),
		newBackupCommand(), newRestoreCommand(),
	)
	return root
}

// dataFlag adds --data, the directory of a coordinator's state.
func dataFlag(cmd *cobra.Command, data *string) {
	cmd.Flags().StringVar(data, "data", command.StateDirectory("coordinator"), "directory of the coordinator's state")
}
