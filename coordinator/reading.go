package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/command"
)

// reading is a command that shows what the coordinator holds: in words, or as JSON.
type reading struct {
	use, short string
	args       cobra.PositionalArgs
	past       bool // it can show a moment of the past, too
	value      func(ctx context.Context, client *admin.Client, s admin.State, args []string) (any, error)
	words      func(out io.Writer, s admin.State, value any) error
}

func (r reading) command() *cobra.Command {
	var data, at string
	var asJSON bool
	cmd := &cobra.Command{
		Use: r.use, Short: r.short, Args: r.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			when, err := moment(at, time.Now())
			if err != nil {
				return command.Usage(err)
			}
			client := admin.NewClient(data)
			state, err := client.State(cmd.Context(), when)
			if err != nil {
				return err
			}
			value, err := r.value(cmd.Context(), client, state, args)
			if err != nil {
				return err
			}
			if !asJSON {
				return r.words(cmd.OutOrStdout(), state, value)
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(value)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	if r.past {
		cmd.Flags().StringVar(&at, "at", "", "a moment of the last two days: 2026-03-01T02:31:00Z, 02:31 (UTC) or 10m (ago)")
	}
	return cmd
}

// moment reads a time as people type it: RFC 3339, an hour and minute of the latest past (UTC), or how long ago. The empty
// text is the zero time: now.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		y, m, d := now.UTC().Date()
		t = time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		if t.After(now) {
			t = t.AddDate(0, 0, -1)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--at %s: write a time as in 2026-03-01T02:31:00Z, 02:31 (UTC) or 10m (ago)", s)
}
