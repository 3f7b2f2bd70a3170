//go:build !pages

package command

import "github.com/spf13/cobra"

// addPages adds nothing: the manual pages are made when the packages are.
func addPages(*cobra.Command) {}
