package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/sla"
)

const uptimeLong = `
Uptime prints how long every host and check was up in the last 90 days, or in a month: exact to the
second, with partial outages, maintenance and missing data apart. Times without data count as
nothing. Percentages are rounded down, so that only a period without any outage shows 100 %.`

const slaLong = `
Sla prints the uptime of every host and check in a month, whether it reached the target, and the
credit that it gives. The terms are in the catalog, under "sla:". Without --month it is the last
month that has ended.`

// uptimeReport is a command that prints an uptime report.
type uptimeReport struct {
	use, short, long, example string

	args   cobra.PositionalArgs
	period func(now time.Time) (from, to time.Time) // without --month
	terms  bool                                     // with the target and credits
}

func newUptimeCommand() *cobra.Command {
	return uptimeReport{
		use: "uptime [HOST]", short: "Show how long hosts were up", long: uptimeLong,
		example: "  coordinator uptime\n  coordinator uptime NC036 --month 2025-06 --csv",
		args:    cobra.MaximumNArgs(1),
		period:  func(time.Time) (from, to time.Time) { return from, to }, // the last 90 days
	}.command()
}

func newSLACommand() *cobra.Command {
	return uptimeReport{
		use: "sla", short: "Show whether hosts met their SLA in a month", long: slaLong,
		example: "  coordinator sla --month 2025-06\n  coordinator sla --month 2025-06 --csv",
		args:    cobra.NoArgs, terms: true,
		period: func(now time.Time) (from, to time.Time) {
			to = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
			return to.AddDate(0, -1, 0), to
		},
	}.command()
}

func (u uptimeReport) command() *cobra.Command {
	var data, month string
	var asJSON, asCSV bool
	cmd := &cobra.Command{
		Use: u.use, Short: u.short, Long: u.long, Example: u.example, Args: u.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to, err := u.between(month, time.Now().UTC().Truncate(time.Second))
			if err == nil && asJSON && asCSV {
				err = errors.New("use --json or --csv, not both")
			}
			if err != nil {
				return command.Usage(err)
			}
			client, err := newClient(cmd, data)
			if err != nil {
				return err
			}
			report, err := client.Uptime(cmd.Context(), strings.Join(args, ""), from, to)
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return printJSON(cmd.OutOrStdout(), report)
			case asCSV:
				return writeUptimeCSV(cmd.OutOrStdout(), report)
			}
			return u.write(command.Printable(cmd.OutOrStdout()), report)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&month, "month", "", "show a `MONTH` in UTC: 2025-06")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with times in seconds")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV, with times in seconds")
	return cmd
}

// between returns the period of a month, or the command's own for "".
func (u uptimeReport) between(month string, now time.Time) (from, to time.Time, err error) {
	if month == "" {
		from, to = u.period(now)
		return from, to, nil
	}
	from, err = time.Parse("2006-01", month)
	if err != nil || from.After(now) {
		return from, to, fmt.Errorf("--month %s: write a month that has begun, as in 2025-06", month)
	}
	return from, from.AddDate(0, 1, 0), nil
}

// write prints the report as a table.
func (u uptimeReport) write(out io.Writer, r sla.Report) error {
	fmt.Fprintf(out, "From %s to %s; maintenance counts as %s, a partial outage as %s\n",
		formatTime(r.From), formatTime(r.To), r.Method.Maintenance, r.Method.Partial)
	if u.terms {
		fmt.Fprintf(out, "Target %v %%\n", r.Method.Target)
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "HOST\tCHECK\tUPTIME\tDOWN\tPARTIAL\tMAINTENANCE\tNO DATA"
	if u.terms {
		head = "HOST\tCHECK\tUPTIME\tTARGET\tCREDIT\tDOWN\tPARTIAL\tMAINTENANCE\tNO DATA"
	}
	fmt.Fprintln(table, head)
	for _, row := range r.Rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t", row.Host, dash(row.Check), row.Uptime)
		if u.terms {
			fmt.Fprintf(table, "%s\t%s\t", targetWord(row), creditText(row))
		}
		s := row.Seconds
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n",
			lasted(s.Down), lasted(s.Partial), lasted(s.Maintenance), lasted(s.NoData))
	}
	return table.Flush()
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func lasted(seconds int64) string {
	if seconds == 0 {
		return "-"
	}
	return incident.FormatDuration(time.Duration(seconds) * time.Second)
}

func targetWord(row sla.Row) string {
	switch {
	case row.Met == nil:
		return "unknown"
	case *row.Met:
		return "met"
	}
	return "missed"
}

func creditText(row sla.Row) string {
	if row.Credit == 0 {
		return "-"
	}
	return fmt.Sprintf("%v %%", row.Credit)
}

// writeUptimeCSV prints one line for each row. What is not known is empty.
func writeUptimeCSV(out io.Writer, r sla.Report) error {
	w := csv.NewWriter(out)
	lines := [][]string{{"from", "to", "host", "check", "uptime_percent", "target_percent", "met", "credit_percent",
		"up_seconds", "down_seconds", "partial_seconds", "maintenance_seconds", "no_data_seconds"}}
	decimal := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	for _, row := range r.Rows {
		percent, met := "", ""
		if row.Percent != nil {
			percent, met = strconv.FormatFloat(*row.Percent, 'f', 3, 64), strconv.FormatBool(*row.Met)
		}
		line := []string{r.From.UTC().Format(time.RFC3339), r.To.UTC().Format(time.RFC3339),
			spreadsheetText(row.Host), spreadsheetText(row.Check), percent, decimal(r.Method.Target), met, decimal(row.Credit)}
		s := row.Seconds
		for _, n := range []int64{s.Up, s.Down, s.Partial, s.Maintenance, s.NoData} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		lines = append(lines, line)
	}
	return w.WriteAll(lines)
}

// spreadsheetText returns a text that no spreadsheet takes for a formula: an apostrophe before it marks it as text. The
// letters are those of OWASP's "CSV injection", in their full width forms too.
func spreadsheetText(text string) string {
	if begin := strings.TrimLeft(text, " \u00a0"); begin != "" && strings.ContainsAny(begin[:1], "=+-@\t\r\n|%") ||
		strings.HasPrefix(text, "＝") || strings.HasPrefix(text, "＋") || strings.HasPrefix(text, "－") ||
		strings.HasPrefix(text, "＠") {
		return "'" + text
	}
	return text
}
