package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/maintenance"
)

const maintenanceLong = `
Maintenance covers hosts, or single checks of them, for a time. While it is in progress, what it
covers is shown as under maintenance, its failures open no incident, and its downtime is counted
apart. Probing goes on, and whatever it does not cover is shown as it is. A maintenance begins and
ends at its times by itself; "start", "extend" and "end" change that by hand.

TIME is RFC 3339 as in 2026-03-01T02:31:00Z, 02:31 (UTC, the next one to come) or 10m (from now).`

func newMaintenanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "maintenance", Short: "Plan, change and list maintenance", Long: maintenanceLong,
		Example: "  coordinator maintenance plan --host NC036 --title \"New disk\" --start 02:31 --end 02:45",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMaintenancePlanCommand(), newMaintenanceListCommand(), newMaintenanceEditCommand())
	for _, c := range maintenanceChanges {
		cmd.AddCommand(c.command())
	}
	return cmd
}

// planFlags are the flags of `maintenance plan`.
type planFlags struct {
	data, start, end, textFile string
	preview                    bool
	editorial.MaintenancePlan
}

func newMaintenancePlanCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "plan", Short: "Plan maintenance and print its id",
		Long: `Plan announces a maintenance at once and prints its id alone. Without --start it starts now, as an
emergency. With --rrule it recurs: the rule is one of RFC 5545, counted in --zone, so that a
maintenance at 02:00 stays at 02:00 across daylight saving. An occurrence whose time clocks skip is
left out; one whose time they show twice is at the first. A rule goes on for at most ten years.

TIME is RFC 3339 as in 2026-03-01T02:31:00Z, 02:31 (UTC, the next one to come; for --end the next one
after the start) or 10m (from now).`,
		Example: `  coordinator maintenance plan --host NC036 --title "New disk" --start 02:31 --end 02:45
  coordinator maintenance plan --host NC036 --check SMTP --title "Virus clean-up" --end 30m
  coordinator maintenance plan --host NC041 --title Updates --end 1h --rrule FREQ=WEEKLY`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	dataFlag(cmd, &f.data)
	cmd.Flags().StringArrayVar(&f.Hosts, "host", nil, "a `HOST` that is covered; repeat it for several")
	cmd.Flags().StringArrayVar(&f.Checks, "check", nil, "cover this `CHECK` of the host alone; repeat it for several")
	cmd.Flags().StringVar(&f.Title, "title", "", "the `TITLE`, one line")
	cmd.Flags().StringVar(&f.start, "start", "", "the `TIME` at which it begins; without it, now")
	cmd.Flags().StringVar(&f.end, "end", "", "the `TIME` at which it ends")
	cmd.Flags().StringVar(&f.Rule, "rrule", "", "the `RULE` by which it recurs, as in FREQ=WEEKLY;BYDAY=SU")
	cmd.Flags().StringVar(&f.Zone, "zone", "", "the time `ZONE` of the rule, as in Europe/London (default UTC)")
	cmd.Flags().StringVar(&f.Overrun, "overrun", "", "extend it by itself by at most this `DURATION` while what it "+
		"covers still fails at its end (default: it ends)")
	textFlags(cmd, &f.Text, &f.textFile)
	cmd.Flags().StringArrayVar(&f.Tags, "tag", nil, "a `TAG`, as in smtp; repeat it for several")
	cmd.Flags().StringVar(&f.Category, "category", "", "the `CATEGORY`, as in mail")
	cmd.Flags().BoolVar(&f.preview, "preview", false, "print what the page would show, and plan nothing")
	return cmd
}

// parsePeriod returns the times of --start and --end; a duration as the end counts from a start that is to come.
func parsePeriod(from, to string, now time.Time) (start, end time.Time, err error) {
	if start, err = parseComing("--start", from, now, now); err != nil {
		return start, end, err
	}
	after := now
	if start.After(now) {
		after = start
	}
	end, err = parseComing("--end", to, now, after)
	return start, end, err
}

func (f *planFlags) run(cmd *cobra.Command) (err error) {
	if len(f.Hosts) == 0 || f.Title == "" || f.end == "" {
		return command.Usage(errors.New("--host, --title and --end are needed: see --help for an example"))
	}
	if f.Start, f.End, err = parsePeriod(f.start, f.end, time.Now()); err != nil {
		return command.Usage(err)
	}
	if f.Text, err = readTextOf(cmd.InOrStdin(), f.Text, f.textFile); err != nil {
		return err
	}
	client, err := newClient(cmd, f.data)
	if err != nil {
		return err
	}
	if f.preview {
		entry, err := client.PreviewMaintenance(cmd.Context(), f.MaintenancePlan)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(command.Printable(cmd.OutOrStdout()), entry.Page())
		return err
	}
	id, err := client.PlanMaintenance(cmd.Context(), f.MaintenancePlan)
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), id)
	}
	return err
}

func textFlags(cmd *cobra.Command, text, file *string) {
	cmd.Flags().StringVar(text, "text", "", "the `TEXT`, Markdown; \"-\" reads standard input")
	cmd.Flags().StringVar(file, "text-file", "", "read the text from a `FILE`")
}

// readTextOf returns the text of a flag, of standard input where it is "-", or of the file.
func readTextOf(in io.Reader, text, file string) (string, error) {
	if file != "" {
		if text != "" {
			return "", command.Usage(errors.New("--text and --text-file exclude each other"))
		}
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the text: %w", err)
		}
		defer f.Close()
		in, text = f, "-"
	}
	if text != "-" {
		return text, nil
	}
	data, err := io.ReadAll(io.LimitReader(in, textReadMax))
	if err != nil {
		return "", fmt.Errorf("read the text: %w", err)
	}
	return string(data), nil
}

// parseComing parses a time to come, as people type it: RFC 3339, how long from now, or an hour and minute in UTC, the
// first one after a time. An empty text and "now" are the zero time.
func parseComing(flag, s string, now, after time.Time) (time.Time, error) {
	if s == "" || s == "now" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if ahead, err := time.ParseDuration(s); err == nil && ahead >= 0 {
		return now.Add(ahead), nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		y, m, d := after.UTC().Date()
		t = time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		if !t.After(after) {
			t = t.AddDate(0, 0, 1)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%s %s: write a time as in 2026-03-01T02:31:00Z, 02:31 (UTC) or 10m (from now)",
		flag, s)
}

// maintenanceChange is a command that changes a maintenance.
type maintenanceChange struct {
	action                    maintenance.Action
	use, short, long, example string
	end                       bool // it has --end
}

var maintenanceChanges = []maintenanceChange{
	{maintenance.Start, "start ID", "Start a maintenance before its time",
		`Start begins a scheduled maintenance now. It lasts as long as planned, unless --end says otherwise. ID is
that of a maintenance, which means its next occurrence, or that of one occurrence.`,
		"  coordinator maintenance start x7k2m4", true},
	{maintenance.Extend, "extend ID", "Move the end of a maintenance later",
		"Extend moves the end of a maintenance that is in progress or scheduled.\n" +
			"TIME is RFC 3339, 02:31 (UTC, the next one after the present end) or 10m (from now).",
		"  coordinator maintenance extend x7k2m4 --end 30m", true},
	{maintenance.Verify, "verify ID", "Say that the work is done and checked",
		"Verify shows that the work is done and that its result is checked. What is covered stays covered until the end.",
		"  coordinator maintenance verify x7k2m4", false},
	{maintenance.End, "end ID", "End a maintenance now",
		"End ends a maintenance in progress before its time. A check that is still down opens an incident then.",
		"  coordinator maintenance end x7k2m4 --text \"The new disk works.\"", false},
	{maintenance.Cancel, "cancel ID", "Cancel a maintenance that has not begun",
		`Cancel calls off a scheduled maintenance. Of one that recurs, it cancels all occurrences that have not begun;
with the id of an occurrence, that one alone.`,
		"  coordinator maintenance cancel x7k2m4", false},
}

func (c maintenanceChange) command() *cobra.Command {
	var data, end, textFile string
	change := editorial.MaintenanceChange{Action: c.action}
	cmd := &cobra.Command{
		Use: c.use, Short: c.short, Long: c.long, Example: c.example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			change.ID = args[0]
			if c.action == maintenance.Extend && end == "" {
				return command.Usage(errors.New("--end is needed: the new end"))
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			now := time.Now()
			after := now
			if c.end {
				after = presentEnd(cmd, client, args[0], now)
			}
			if change.End, err = parseComing("--end", end, now, after); err != nil {
				return command.Usage(err)
			}
			if change.Text, err = readTextOf(cmd.InOrStdin(), change.Text, textFile); err != nil {
				return err
			}
			entry, err := client.ChangeMaintenance(cmd.Context(), change)
			if err == nil {
				fmt.Fprintf(command.Printable(cmd.OutOrStdout()), "%s: %s, from %s to %s\n", args[0], entry.State,
					formatTime(entry.Start), formatTime(entry.End))
			}
			return err
		},
	}
	dataFlag(cmd, &data)
	if c.end {
		cmd.Flags().StringVar(&end, "end", "", "the `TIME` at which it ends")
	}
	textFlags(cmd, &change.Text, &textFile)
	return cmd
}
