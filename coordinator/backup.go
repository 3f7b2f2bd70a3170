package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/pkg/command"
)

func newBackupCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Save the running coordinator into a new directory: streams, keys, accounts, enrolment",
		Long: "Backup saves the coordinator while it runs. DIR must be missing or empty; it holds the mesh's secret keys afterwards,\n" +
			"readable by you alone. `coordinator restore DIR` makes a coordinator of it, to which the agents that had joined connect.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := backup.Save(cmd.Context(), admin.NewClient(data), args[0], command.Version())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "saved %s in %s: %d files, %d bytes\n", data, args[0], len(m.Files), total(m))
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

func total(m backup.Manifest) (bytes int64) {
	for _, f := range m.Files {
		bytes += f.Size
	}
	return bytes
}
