package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const applyLong = `
Apply validates the file, prints what it changes, puts it in force, and waits until every region has
probed what is new. A new check is pending until it was up once, so a mistyped port is never an
outage: apply prints how many regions reach it, and why the others do not. A file that lacks hosts of
the catalog in force is refused unless --prune confirms that.

With "coordinator serve --catalog FILE" the file is in force by itself whenever it changes. Applying
that same file prints what it changes, and --confirm puts it in force at once: a change that ends the
watch of something that is down waits 30 seconds otherwise.`

func newApplyCommand() *cobra.Command {
	var data string
	var prune, confirm bool
	cmd := &cobra.Command{
		Use:     "apply FILE",
		Short:   "Put a catalog in force and print what changes",
		Long:    applyLong,
		Example: "  coordinator apply catalog.yaml\n  coordinator apply catalog.yaml --prune",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runApply(cmd, args[0], data, prune, confirm)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&prune, "prune", false, "stop watching hosts that the file no longer contains")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "put the followed file in force at once")
	return cmd
}

// printFollowed prints what a file changes that the coordinator follows.
func printFollowed(cmd *cobra.Command, f catalogFile, changes []catalog.Change, confirmed bool) {
	out := command.Printable(cmd.OutOrStdout())
	for _, change := range changes {
		fmt.Fprintln(out, f.describe(change))
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(out, "nothing changes: the coordinator follows this file, and it is in force")
	case confirmed:
		fmt.Fprintln(out, "in force")
	default:
		fmt.Fprintln(out, "not in force yet: the coordinator follows this file, and puts it in force by itself; "+
			"--confirm does that at once")
	}
}

func runApply(cmd *cobra.Command, file, data string, prune, confirm bool) error {
	c, err := readCatalog(cmd, file, catalogs.EnvironmentElsewhere(os.LookupEnv))
	if err != nil {
		return err
	}
	printWarnings(cmd, c.Catalog)
	// The ledger records where a catalog came from; the coordinator does not share this working directory.
	source, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	client, err := newClient(cmd, data)
	if err != nil {
		return err
	}
	followed, err := client.ApplyFile(cmd.Context(), source, confirm)
	switch {
	case err != nil:
		return err
	case followed.Follows:
		printFollowed(cmd, c, followed.Changes, confirm)
		return nil
	case confirm:
		return command.Usage(errors.New("--confirm: the coordinator does not follow this file"))
	}
	before, err := client.State(cmd.Context(), time.Time{})
	if err != nil {
		return err
	}
	changes, err := client.Apply(cmd.Context(), c.Catalog, source, prune)
	if err != nil {
		return err
	}
	return printApplied(cmd, client, before.Catalog.Revision, c, changes)
}

// describeFirstLook says how many regions reach a new check, and why the others do not.
func describeFirstLook(l admin.FirstLook) string {
	target := "it"
	if l.Port != 0 {
		target = fmt.Sprintf("port %d", l.Port)
	}
	reach := mesh.CountOf(l.OK, l.Voters, "region", "reaches", "reach")
	text := fmt.Sprintf("%s %s: %s %s", l.Host, l.Check, reach, target)
	if l.Missing() > 0 {
		text += " so far"
	}
	text += describeSightings(l.Bad, "cannot") + describeSightings(l.Inconclusive, "cannot tell")
	if missing := l.Missing(); missing > 0 { // the agents probe a mail server one after the other
		text += fmt.Sprintf("; %d %s not probed it yet", missing, mesh.Verb(missing, l.Voters, "has", "have"))
	}
	return text
}

// describeSightings says how many regions saw something, and why; nothing if none did.
func describeSightings(s admin.Sightings, what string) string {
	switch {
	case s.Regions == 0:
		return ""
	case s.Why == "":
		return fmt.Sprintf("; %d %s", s.Regions, what)
	case s.Same < s.Regions:
		return fmt.Sprintf("; %d %s, mostly: %s", s.Regions, what, s.Why)
	}
	return fmt.Sprintf("; %d %s: %s", s.Regions, what, s.Why)
}

// printApplied prints what changed, and how far each region has probed what is new.
func printApplied(
	cmd *cobra.Command, client *admin.Client, before string, c catalogFile, changes []catalog.Change,
) error {
	out := command.Printable(cmd.OutOrStdout())
	if len(changes) == 0 {
		fmt.Fprintln(out, "nothing changes")
		return nil
	}
	for _, change := range changes {
		fmt.Fprintln(out, c.describe(change))
	}
	err := client.AwaitFirstLooks(cmd.Context(), before, c.Catalog, changes, func(l admin.FirstLook) {
		fmt.Fprintln(out, describeFirstLook(l))
	})
	if errors.Is(err, admin.ErrNoAgents) { // the catalog is in force all the same
		fmt.Fprintln(out, command.WithProgramNames(err.Error()))
		return nil
	}
	return err
}
