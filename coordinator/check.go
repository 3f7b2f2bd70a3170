package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

const checkLong = `
Check reads the file as serve and apply do, and prints every mistake with its file, line and column.
It needs no running coordinator and changes nothing. It exits with 2 if the file has mistakes, so it
suits a commit hook. What is valid and will not work as written is a warning, and it exits with 0.`

func newCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Validate a catalog",
		Long:    checkLong,
		Example: "  coordinator check catalog.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readCatalog(cmd, args[0], secretHere)
			if err != nil {
				return err
			}
			checks := 0
			for _, h := range c.Hosts {
				checks += len(h.Checks)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %d regions, %d hosts, %d checks\n",
				args[0], len(c.Regions), len(c.Hosts), checks)
			printWarnings(cmd, c)
			return nil
		},
	}
}

// secretHere reports a secret that this command cannot read.
func secretHere(reference string) error {
	_, err := catalogs.ReadSecret(reference, os.LookupEnv)
	return err
}

// secretElsewhere accepts every reference: the running coordinator reads the values, in its own environment.
func secretElsewhere(string) error { return nil }

// printWarnings prints what is valid in the catalog and will not work as written.
func printWarnings(cmd *cobra.Command, c *catalog.Catalog) {
	for _, w := range c.Warnings() {
		fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), "warning:", w)
	}
}

// readCatalog parses a file. It prints the mistakes itself, one a line and without a hint at the help.
// secretError returns why the value of a reference to a secret cannot be read, or nil.
func readCatalog(cmd *cobra.Command, file string, secretError func(reference string) error) (*catalog.Catalog, error) {
	source, _, err := regularfile.Read(file, catalogfile.SizeMax)
	if err != nil {
		return nil, command.Usage(err)
	}
	c, err := catalogfile.ParseWith(file, source, os.LookupEnv, secretError)
	var mistakes catalogfile.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintln(command.Printable(cmd.ErrOrStderr()), mistakes.Error())
		return nil, command.Usage(command.ErrReported)
	}
	return c, err
}
