//go:build pages

package command

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// addPages adds the hidden command that writes the manual pages. Only the packages' build has it: the generator makes a
// program larger and nobody else calls it.
func addPages(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use: "pages DIR", Short: "Write the manual pages", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
			if err != nil {
				return fmt.Errorf("SOURCE_DATE_EPOCH must be the pages' date in seconds: %w", err)
			}
			date := time.Unix(seconds, 0).UTC()
			root.DisableAutoGenTag, root.CompletionOptions.HiddenDefaultCmd = true, true
			source := root.Name() + " " + root.Version
			header := &doc.GenManHeader{Section: "1", Source: source, Manual: "probemesh", Date: &date}
			return doc.GenManTree(root, header, args[0])
		},
	})
}
