package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/command"
)

const applyLong = `
Apply validates the file, prints what it changes, puts it in force, and waits until every region has
probed what is new. A new check is pending until it was up once, so a mistyped port is never an
outage: apply prints how many regions reach it. A file that lacks hosts of the catalog in force is
refused unless --prune confirms that.

With "coordinator serve --catalog FILE" the file is in force by itself whenever it changes; apply is
for coordinators without one.`

func newApplyCommand() *cobra.Command {
	var data string
	var prune bool
	cmd := &cobra.Command{
		Use:     "apply FILE",
		Short:   "Put a catalog in force and print what changes",
		Long:    applyLong,
		Example: "  coordinator apply catalog.yaml\n  coordinator apply catalog.yaml --prune",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readCatalog(cmd, args[0])
			if err != nil {
				return err
			}
			printWarnings(cmd, c)
			// The ledger records where a catalog came from; the coordinator does not share this working directory.
			source, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			changes, err := client.Apply(cmd.Context(), c, source, prune)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				fmt.Fprintln(out, "nothing changes")
				return nil
			}
			for _, change := range changes {
				fmt.Fprintln(out, change)
			}
			err = client.AwaitFirstLooks(cmd.Context(), c, changes, func(l admin.FirstLook) {
				target := "it"
				if l.Port != 0 {
					target = fmt.Sprintf("port %d", l.Port)
				}
				fmt.Fprintf(out, "%s %s: %d of %d regions reach %s\n", l.Host, l.Check, l.OK, l.Voters, target)
			})
			if errors.Is(err, admin.ErrNoAgents) { // the catalog is in force all the same
				fmt.Fprintln(out, command.WithProgramNames(err.Error()))
				return nil
			}
			return err
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&prune, "prune", false, "stop watching hosts that the file no longer contains")
	return cmd
}
