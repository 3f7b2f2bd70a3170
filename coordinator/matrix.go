package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func newMatrixCommand() *cobra.Command {
	return reading{
		use: "matrix", short: "Show which vantage reaches which check", args: cobra.NoArgs, past: true,
		words: func(out io.Writer, s admin.State, _ any) error { return writeMatrix(out, s.Snapshot) },
		value: func(_ context.Context, _ *admin.Client, s admin.State, _ []string) (any, error) {
			return s.Snapshot, nil
		},
	}.command()
}

// writeMatrix writes a row a check and a column a vantage.
func writeMatrix(out io.Writer, s *mesh.Snapshot) error {
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprint(table, "CHECK")
	for _, v := range s.Vantages {
		fmt.Fprintf(table, "\t%s", v.Name)
	}
	fmt.Fprintln(table)
	for _, h := range s.Hosts {
		for _, c := range h.Checks {
			fmt.Fprintf(table, "%s %s", h.Name, c.Name)
			for _, v := range s.Vantages {
				fmt.Fprintf(table, "\t%s", cell(c, mesh.Key(v.Name)))
			}
			fmt.Fprintln(table)
		}
	}
	fmt.Fprintf(table, "\n+ reaches it, in milliseconds; X does not; ? abstains; as of %s\n", when(s.At))
	return table.Flush()
}

// cell is what one vantage last saw of a check, through all its families.
func cell(c mesh.CheckState, vantage string) string {
	text := ""
	for _, r := range c.Votes {
		for _, e := range r.Edges {
			if e.Vantage != vantage || e.LeftOut {
				continue
			}
			text += symbols[e.Vote]
			if e.Vote == mesh.OK {
				text += fmt.Sprint(e.RTT.Round(time.Millisecond).Milliseconds())
			}
		}
	}
	return text
}
