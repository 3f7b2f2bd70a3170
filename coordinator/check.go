package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

const checkLong = `
Check reads the file as serve and apply do, and prints every mistake with its file, line and column.
It needs no running coordinator and changes nothing. It exits with 2 if the file has mistakes, so it
suits a commit hook. What is valid and will not work as written is a warning, and it exits with 0.

Where a coordinator runs, check also says which hosts and checks keep their history under a new name,
and suggests "was:" where that cannot be told. With --data a rename that is refused is a mistake.`

func newCheckCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "check FILE",
		Short:   "Validate a catalog",
		Long:    checkLong,
		Example: "  coordinator check catalog.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readCatalog(cmd, args[0], catalogs.Environment(os.LookupEnv))
			if err != nil {
				return err
			}
			checks := 0
			for _, h := range c.Hosts {
				checks += len(h.Checks)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s, %s, %s\n", args[0],
				mesh.Count(len(c.Regions), "region"), mesh.Count(len(c.Hosts), "host"), mesh.Count(checks, "check"))
			printWarnings(cmd, c.Catalog)
			return checkRenames(cmd, c, data)
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

// checkRenames prints what the file renames of the catalog in force. Without a coordinator there is nothing to compare
// with.
func checkRenames(cmd *cobra.Command, f catalogFile, data string) error {
	client, err := newClient(cmd, data)
	var state admin.State
	if err == nil {
		state, err = client.State(cmd.Context(), time.Time{})
	}
	if err != nil {
		if cmd.Flags().Changed("data") {
			fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), "warning: renames are not checked:", err)
		}
		return nil
	}
	identified, err := catalog.Identify(state.Catalog, f.Catalog)
	switch {
	case err != nil && !cmd.Flags().Changed("data"): // the file may be for another mesh
		fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), "warning:", err)
		return nil
	case err != nil:
		fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), err)
		return command.Usage(command.ErrReported)
	}
	for _, change := range identified.Changes() {
		fmt.Fprintln(command.Printable(cmd.OutOrStdout()), f.describe(change))
	}
	return nil
}

// printWarnings prints what is valid in the catalog and will not work as written.
func printWarnings(cmd *cobra.Command, c *catalog.Catalog) {
	for _, w := range c.Warnings() {
		fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), "warning:", w)
	}
}

// catalogFile is a catalog as a file has it.
type catalogFile struct {
	*catalog.Catalog
	name  string
	lines catalogfile.Lines
}

// describe returns a change as a line of text, advice with the place in the file that it is about.
func (f catalogFile) describe(c catalog.Change) string {
	line := f.lines.Of(c.Host, c.Check)
	if line == 0 {
		line = f.lines.Of(c.Host, "")
	}
	if !c.Advice || line == 0 {
		return c.String()
	}
	return fmt.Sprintf("%s:%d: %s", f.name, line, c)
}

// readCatalog parses a file. It prints the mistakes itself, one a line and without a hint at the help.
func readCatalog(cmd *cobra.Command, file string, env catalogfile.Environment) (f catalogFile, err error) {
	source, _, err := regularfile.Read(file, catalogfile.SizeMax)
	if err != nil {
		return f, command.Usage(err)
	}
	f.name = file
	f.Catalog, f.lines, err = catalogfile.ParseLines(file, source, env)
	var mistakes catalogfile.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), mistakes.Error())
		return f, command.Usage(command.ErrReported)
	}
	return f, err
}
