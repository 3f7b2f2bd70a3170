//go:build !pages

package command

import "github.com/spf13/cobra"

// addPages adds nothing: only the packages' build writes the manual pages.
func addPages(*cobra.Command) {}
