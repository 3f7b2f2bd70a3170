package main

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/ledger"
)

func newSilenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "silence", Short: "Mute notifications for a while",
		Long: `A silence suppresses notifications about incidents of what it matches until a given time. Probing,
verdicts and the status page do not change. If an incident also concerns anything that is not
silenced, its notifications are sent.`,
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
	return listing[ledger.Silence]{
		use: "list", short: "List the silences in force",
		long:    "List prints the silences in force, the oldest first.",
		example: "  coordinator silence list",
		read: func(ctx context.Context, client *admin.Client) ([]ledger.Silence, error) {
			return admin.NewNotifyClient(client).Silences(ctx)
		},
		write: writeSilences,
	}.command()
}

func writeSilences(out, _ io.Writer, all []ledger.Silence) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tWHAT\tUNTIL\tREASON\tBY")
	for _, s := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.ID, silenced(s), formatTime(s.Until), s.Reason, s.By)
	}
	return table.Flush()
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
		Long:    "Remove ends a silence: notifications about incidents that are still open are sent now.",
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
