package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/ledger"
)

func newNotifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "notify", Short: "Test channels, and explain who gets which messages",
		Long: `The section notify of the catalog defines who is notified of incidents and of problems of the mesh
itself, over which channels, and when.`,
		Example: "  coordinator notify test\n  coordinator notify explain NC036",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNotifyTestCommand(), newNotifyExplainCommand())
	return cmd
}

func newNotifyTestCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "test [CHANNEL]", Short: "Send a test message",
		Long: `Test sends a message that says it is a test to one channel, or to all of them, and prints what came
of it. It fails if a channel did not take its message.`,
		Example: "  coordinator notify test mail",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newNotifyClient(cmd, data)
			if err != nil {
				return err
			}
			channel := ""
			if len(args) > 0 {
				channel = args[0]
			}
			tested, err := client.Test(cmd.Context(), channel)
			if err != nil {
				return err
			}
			out, failed := command.Printable(cmd.OutOrStdout()), false
			for _, t := range tested {
				if t.Error != "" {
					failed = true
					fmt.Fprintf(out, "%s\tfailed: %s\n", t.Channel, t.Error)
					continue
				}
				fmt.Fprintf(out, "%s\tsent\n", t.Channel)
			}
			if failed {
				return errors.New("a channel did not take the message")
			}
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

func newNotifyExplainCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain HOST", Short: "Show who is notified of an outage of a host, and when",
		Long: `Explain lists the routes of the catalog that match an outage of the host, the channels that each
notifies, and how long after the outage was published.`,
		Example: "  coordinator notify explain NC036",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newNotifyClient(cmd, data)
			if err != nil {
				return err
			}
			explained, err := client.Explain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), explained)
			}
			return printExplained(command.Printable(cmd.OutOrStdout()), explained)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printExplained prints a line for each channel of the routes that take the outage.
func printExplained(out io.Writer, explained []notify.Explained) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROUTE\tCHANNEL\tAFTER\tWHAT")
	taken, silences := 0, []ledger.Silence(nil)
	for _, e := range explained {
		if !e.Takes {
			continue
		}
		taken++
		silences = e.Silenced
		for _, t := range e.Notified {
			what := "first message"
			if t.Step != "opened" {
				what = "escalation, unless acknowledged"
			} else if e.Repeat > 0 {
				what += ", then every " + e.Repeat.String()
			}
			if e.Severity != "" {
				what += "; if it is at least " + e.Severity
			}
			if e.Quiet != "" {
				what += "; not from " + e.Quiet
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", e.Route, t.Channel, t.After, what)
		}
		for _, c := range e.Fallback {
			fmt.Fprintf(w, "%d\t%s\t\tif all channels of the route fail\n", e.Route, c)
		}
	}
	if taken == 0 {
		fmt.Fprintln(out, "No route matches an outage of this host: nobody would be notified.")
		return nil
	}
	err := w.Flush()
	for _, s := range silences {
		about := "the host"
		if s.Check != "" {
			about = s.Check
		}
		fmt.Fprintf(out, "Silenced: no messages about %s until %s (silence %s: %s).\n", about, formatTime(s.Until), s.ID,
			s.Reason)
	}
	return err
}

func newAckCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "ack INCIDENT", Short: "Acknowledge an incident: reminders of it stop",
		Long: `Ack records that somebody is working on an open incident. Its reminders and escalations stop; the
message that it is over is still sent. Clients do not see the acknowledgement. Each message about an
incident contains the incident's id.`,
		Example: "  coordinator ack mifc3k2o-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newNotifyClient(cmd, data)
			if err != nil {
				return err
			}
			return client.Acknowledge(cmd.Context(), args[0])
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

// newNotifyClient is newClient for the commands of notifications.
func newNotifyClient(cmd *cobra.Command, data string) (admin.NotifyClient, error) {
	client, err := newClient(cmd, data)
	return admin.NewNotifyClient(client), err
}
