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

const matrixLong = `
Matrix prints a row for each check and a column for each vantage: whether that vantage reaches the
check, and the round-trip time in milliseconds. A row of X is a service that is down; a column of X
is a vantage with a problem of its own. Use it when hosts of several regions fail at once, to see
which side of the network the fault is on.`

func newMatrixCommand() *cobra.Command {
	return query{
		use: "matrix", short: "Show which vantage reaches which check", long: matrixLong,
		example: "  coordinator matrix\n  coordinator matrix --at 02:31",
		args:    cobra.NoArgs, at: true,
		value: func(_ context.Context, _ *admin.Client, s admin.State, _ []string) (any, error) {
			return s.Snapshot, nil
		},
		text: func(out io.Writer, s admin.State, _ any) error { return writeMatrix(out, s.Snapshot) },
	}.command()
}

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
				fmt.Fprintf(table, "\t%s", matrixCell(c, mesh.Key(v.Name)))
			}
			fmt.Fprintln(table)
		}
	}
	fmt.Fprintf(table, "\n+ reaches it, in milliseconds; X does not; ? abstains; as of %s\n", formatTime(s.At))
	return table.Flush()
}

// voteSymbols are what the legend below the matrix explains.
var voteSymbols = map[mesh.Vote]string{mesh.OK: "+", mesh.Bad: "X", mesh.Abstain: "?"}

// matrixCell is the latest vote of one vantage on a check, one symbol for each address family that counts.
func matrixCell(c mesh.CheckState, vantage string) string {
	text := ""
	for _, r := range c.Votes {
		for _, e := range r.Edges {
			if e.Vantage != vantage || e.LeftOut {
				continue
			}
			text += voteSymbols[e.Vote]
			if e.Vote == mesh.OK {
				text += fmt.Sprint(e.RTT.Round(time.Millisecond).Milliseconds())
			}
		}
	}
	return text
}
