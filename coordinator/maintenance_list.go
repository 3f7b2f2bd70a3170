package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
)

// presentEnd returns the present end of a maintenance, or now where it has none to come: "02:31" means the first one
// after it.
func presentEnd(cmd *cobra.Command, client *admin.Client, id string, now time.Time) time.Time {
	all, err := client.Maintenances(cmd.Context())
	if err != nil {
		return now // the command itself reports it
	}
	for _, m := range all {
		if (m.ID == id || m.Occurrence == id) && m.End.After(now) {
			return m.End
		}
	}
	return now
}

func newMaintenanceListCommand() *cobra.Command {
	return listing[editorial.MaintenanceEntry]{
		use: "list", short: "List maintenance",
		long: `List prints the newest 1,000 maintenances, the latest announced first. Of one that recurs it shows
the occurrence in progress, else the next. With --json it prints the texts and the next occurrences
too.`,
		example: "  coordinator maintenance list\n  coordinator maintenance list --json",
		read: func(ctx context.Context, client *admin.Client) ([]editorial.MaintenanceEntry, error) {
			return client.Maintenances(ctx)
		},
		write: writeMaintenances,
	}.command()
}

func writeMaintenances(out, _ io.Writer, all []editorial.MaintenanceEntry) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATE\tSTART\tEND\tCOVERS\tRECURS\tTITLE")
	for _, m := range all {
		rule := m.Rule
		if rule == "" {
			rule = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.State, formatTime(m.Start), formatTime(m.End),
			covers(m), rule, m.Title)
	}
	return table.Flush()
}

// covers names what a maintenance covers.
func covers(m editorial.MaintenanceEntry) string {
	names := make([]string, len(m.Covers))
	for i, t := range m.Covers {
		names[i] = strings.TrimSpace(t.Host + " " + t.Check)
	}
	return strings.Join(names, ", ")
}
