package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/command"
)

// listing is a command that prints the entries of one kind: as a table, or all that is known of them with --json.
type listing[T any] struct {
	use, short, long, example string

	read func(ctx context.Context, client *admin.Client) ([]T, error)
	// write prints the table to out, and remarks to remarks.
	write func(out, remarks io.Writer, all []T) error
}

func (l listing[T]) command() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: l.use, Short: l.short, Long: l.long, Example: l.example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			all, err := l.read(cmd.Context(), client)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), append([]T{}, all...)) // "[]", not "null", for none
			}
			return l.write(command.Printable(cmd.OutOrStdout()), command.Printable(cmd.ErrOrStderr()), all)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
