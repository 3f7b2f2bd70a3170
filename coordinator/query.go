package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/command"
)

// query is a command that reads the coordinator's state and prints it as text, or as JSON with --json.
type query struct {
	use, short, long, example string

	args  cobra.PositionalArgs
	at    bool // it has --at, for the state at an earlier time
	value func(ctx context.Context, client *admin.Client, s admin.State, args []string) (any, error)
	color func(text string) string // colors what text printed; nil: it has no colors

	// text prints what value returned, for a terminal of so many columns.
	text func(out io.Writer, s admin.State, value any, width int) error
}

func (q query) command() *cobra.Command {
	var data, at string
	var asJSON bool
	cmd := &cobra.Command{
		Use: q.use, Short: q.short, Long: q.long, Example: q.example, Args: q.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			when, err := command.ParseTime(at, time.Now())
			if err != nil {
				return command.Usage(fmt.Errorf("--at %w", err))
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			state, err := client.State(cmd.Context(), when)
			if err != nil {
				return err
			}
			value, err := q.value(cmd.Context(), client, state, args)
			if err != nil {
				return err
			}
			if !asJSON {
				return q.print(cmd.OutOrStdout(), state, value)
			}
			return printJSON(cmd.OutOrStdout(), value)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	if q.at {
		cmd.Flags().StringVar(&at, "at", "",
			"show a `TIME` of the last two days: 2026-03-01T02:31:00Z, 02:31 (UTC) or 10m (ago)")
	}
	return cmd
}

// print prints the text, in colors on a terminal. They are added last: of what others wrote, escapes are removed.
func (q query) print(out io.Writer, s admin.State, value any) error {
	if q.color == nil || !command.InColor(out) {
		return q.text(command.Printable(out), s, value, command.Width(out))
	}
	var text strings.Builder
	if err := q.text(command.Printable(&text), s, value, command.Width(out)); err != nil {
		return err
	}
	_, err := io.WriteString(out, q.color(text.String()))
	return err
}

// formatTime is a time as the commands print it: UTC to the second, "-" for none.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
