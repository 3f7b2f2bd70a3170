// Command coordinator decides every host's status by a quorum of regions, from what the agents observe, and publishes
// it.
//
// This package is the command line alone, one file a command. What `serve` runs is in package node.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	channel.LimitDefaultClient(channel.Timeout)
	os.Exit(command.Run(ctx, newRootCommand()))
}

const rootLong = `
The coordinator collects what agents in many regions observe, decides by quorum which host is down, and publishes
it on a status page. "coordinator demo" shows it at work. To run it: write a catalog, "coordinator serve", and
"coordinator invite" an agent on every host.`

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "coordinator",
		Short:   "Decide every host's status by quorum and publish it",
		Long:    rootLong,
		Example: "  coordinator demo\n  coordinator serve --catalog catalog.yaml\n  coordinator invite NC036",
		Version: command.Version(),
		Args:    cobra.NoArgs,
	}
	root.AddCommand(
		newDemoCommand(), newServeCommand(),
		newCheckCommand(), newApplyCommand(), newSchemaCommand(), newVantagesCommand(),
		newInviteCommand(), newRevokeCommand(), newRotateGossipKeyCommand(),
		newStatusCommand(), newMatrixCommand(), newExplainCommand(), newUptimeCommand(), newSLACommand(),
		newIncidentCommand(), newPostCommand(), newMaintenanceCommand(), newTokenCommand(), newAuditCommand(),
		newNotifyCommand(), newAckCommand(), newSilenceCommand(), newImportCommand(),
		newExportCommand(), newReplicaCommand(), newBackupCommand(), newRestoreCommand(), newNatsConfigCommand(),
	)
	return root
}

// dataFlag adds --data, the directory of a coordinator's state. The admin socket is in it too.
func dataFlag(cmd *cobra.Command, data *string) {
	cmd.Flags().StringVar(data, "data", command.StateDirectory("coordinator"), "the coordinator's state `DIRECTORY`")
}

// newClient returns a client of the running coordinator: the one on --data, if that is given or if one runs on its
// default, else the only one on this machine.
func newClient(cmd *cobra.Command, data string) (*admin.Client, error) {
	if cmd.Flags().Changed("data") {
		return admin.NewClient(data), nil
	}
	running := admin.Running(cmd.Context())
	switch {
	case len(running) == 0 || slices.Contains(running, data):
		return admin.NewClient(data), nil
	case len(running) == 1:
		return admin.NewClient(running[0]), nil
	}
	return nil, command.Usage(fmt.Errorf("several coordinators run on this machine: choose one by --data, on %s",
		strings.Join(running, " or ")))
}
