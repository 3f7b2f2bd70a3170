package main

import (
	"encoding/json"
	"fmt"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/ledger"
)

func newSilenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "silence", Short: "Keep what is known from being told for a while",
		Long: `A silence keeps incidents of what it matches from being told until a time. Probing, verdicts and the
status page stay as they are. An incident that concerns anything else as well is told.`,
		Example: "  coordinator silence add --host NC036 --until 2h --reason \"new disk\"",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSilenceAddCommand(), newSilenceListCommand(), newSilenceRemoveCommand())
	return cmd
}

func newSilenceAddCommand() *cobra.Command {
	var data, until string
	var labels []string
	var h notify.Hush
	cmd := &cobra.Command{
		Use: "add", Short: "Add a silence and print its id",
		Long: `Add adds a silence and prints its id alone. Of --host, --group, --label and --check, all that are
given must match.

TIME is RFC 3339 as in 2026-03-01T02:31:00Z, 02:31 (UTC, the next one to come) or 2h (from now).`,
		Example: "  coordinator silence add --host NC036 --until 2h --reason \"new disk\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			now := time.Now()
			if h.Until, err = parseComing("--until", until, now, now); err != nil {
				return command.Usage(err)
			}
			if h.Labels, err = parseLabels(labels); err != nil {
				return command.Usage(err)
			}
			if u, err := user.Current(); err == nil {
				h.By = u.Username
			}
			client, err := newNotifyClient(cmd, data)
			if err != nil {
				return err
			}
			id, err := client.Silence(cmd.Context(), h)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), id)
			}
			return err
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&h.Host, "host", "", "of this `HOST`")
	cmd.Flags().StringVar(&h.Group, "group", "", "of the hosts of this `GROUP`")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "of the hosts with this label, `KEY=VALUE`; repeat it for several")
	cmd.Flags().StringVar(&h.Check, "check", "", "only of this `CHECK`")
	cmd.Flags().StringVar(&until, "until", "1h", "when it ends, a `TIME`")
	cmd.Flags().StringVar(&h.Reason, "reason", "", "why, for other operators (required)")
	return cmd
}

// parseLabels parses labels of the form key=value; nil for none.
func parseLabels(labels []string) (out map[string]string, err error) {
	for _, l := range labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--label %q: write key=value", l)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	return out, nil
}

func newSilenceListCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the silences in force",
		Long:    "List prints the silences in force, the oldest first.",
		Example: "  coordinator silence list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newNotifyClient(cmd, data)
			if err != nil {
				return err
			}
			all, err := client.Silences(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(append([]ledger.Silence{}, all...))
			}
			w := tabwriter.NewWriter(command.Printable(cmd.OutOrStdout()), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tWHAT\tUNTIL\tREASON\tBY")
			for _, s := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.ID, silenced(s), formatTime(s.Until), s.Reason, s.By)
			}
			return w.Flush()
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// silenced says what a silence is about.
func silenced(s ledger.Silence) string {
	var parts []string
	for _, part := range []string{s.Host, s.Group, s.Check} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	for key, value := range s.Labels {
		parts = append(parts, key+"="+value)
	}
	return strings.Join(parts, " ")
}

func newSilenceRemoveCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "remove ID", Short: "End a silence",
		Long:    "Remove ends a silence: incidents that are open are told now.",
		Example: "  coordinator silence remove x7k2m4",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newNotifyClient(cmd, data)
			if err != nil {
				return err
			}
			return client.Unsilence(cmd.Context(), args[0])
		},
	}
	dataFlag(cmd, &data)
	return cmd
}
