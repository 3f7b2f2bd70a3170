package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const backupLong = `
Backup saves the running coordinator into DIR: streams, keys, accounts and memberships. DIR must be
missing or empty. It contains the mesh's secret keys afterwards, readable by you alone. "coordinator
restore DIR" makes a coordinator of it that the agents connect to without joining again.

A backup that fails leaves nothing behind. Make one a day, and one before every upgrade.`

func newBackupCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "backup DIR",
		Short:   "Save the running coordinator into a new directory",
		Long:    backupLong,
		Example: "  coordinator backup /var/backups/probemesh/2026-03-01",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			m, err := backup.Save(cmd.Context(), client, args[0], command.Version())
			if err != nil {
				return err
			}
			fmt.Fprintf(command.Printable(cmd.OutOrStdout()), "saved %s in %s: %s, %s\n",
				client.Dir(), args[0], mesh.Count(len(m.Files), "file"), mesh.Count(int(m.Size()), "byte"))
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
