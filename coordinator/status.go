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
	"github.com/probemesh/probemesh/pkg/mesh"
)

func newStatusCommand() *cobra.Command {
	return reading{
		use: "status", short: "Show every host's status", args: cobra.NoArgs,
		words: func(out io.Writer, s admin.State, _ any) error { return writeStatus(out, s) },
		value: func(_ context.Context, _ *admin.Client, s admin.State, _ []string) (any, error) {
			return map[string]any{"at": s.Snapshot.At, "hosts": s.Snapshot.Hosts, "alerts": s.Snapshot.Alerts, "problems": s.Problems}, nil
		},
	}.command()
}

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
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.Name, h.Status, when(h.Since), strings.Join(checks, ", "), h.Sentence)
	}
	silent := 0
	for _, v := range s.Snapshot.Vantages {
		if v.Silent || v.Heard.IsZero() {
			silent++
		}
	}
	fmt.Fprintf(table, "\n%d of %d agents speak; as of %s\n", len(s.Snapshot.Vantages)-silent, len(s.Snapshot.Vantages), when(s.Snapshot.At))
	return table.Flush()
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// symbols of an edge's vote, with the words beside them in the legend.
var symbols = map[mesh.Vote]string{mesh.OK: "+", mesh.Bad: "X", mesh.Abstain: "?"}
