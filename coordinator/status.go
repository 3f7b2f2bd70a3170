package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
)

const statusLong = `
Status prints one line a host: its status, since when, the verdict of each check, and a sentence.
Lines that begin with "!" are problems of the mesh itself: silent agents, a full disk, a catalog
file with mistakes. The last line counts the agents that report.`

func newStatusCommand() *cobra.Command {
	return query{
		use: "status", short: "Show every host's status", long: statusLong,
		example: "  coordinator status\n  coordinator status --json",
		args:    cobra.NoArgs,
		value: func(_ context.Context, _ *admin.Client, s admin.State, _ []string) (any, error) {
			return map[string]any{
				"at": s.Snapshot.At, "hosts": s.Snapshot.Hosts, "alerts": s.Snapshot.Alerts, "problems": s.Problems,
			}, nil
		},
		text: func(out io.Writer, s admin.State, _ any) error { return writeStatus(out, s) },
	}.command()
}

// writeStatus prints the mesh's own problems before the hosts, since they may explain what the hosts show.
func writeStatus(out io.Writer, s admin.State) error {
	for _, line := range append(s.Problems, s.Snapshot.Alerts...) {
		fmt.Fprintln(out, "!", line)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tSTATUS\tSINCE\tCHECKS\tSENTENCE")
	for _, h := range s.Snapshot.Hosts {
		var checks []string
		for _, c := range h.Checks {
			checks = append(checks, fmt.Sprintf("%s %s", c.Name, c.Verdict))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			h.Name, h.Status, formatTime(h.Since), strings.Join(checks, ", "), h.Sentence)
	}
	connected := 0
	for _, v := range s.Snapshot.Vantages {
		if !v.Silent && !v.LastBatch.IsZero() {
			connected++
		}
	}
	fmt.Fprintf(table, "\n%d of %d agents connected; as of %s\n",
		connected, len(s.Snapshot.Vantages), formatTime(s.Snapshot.At))
	return table.Flush()
}
