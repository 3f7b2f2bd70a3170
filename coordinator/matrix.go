package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/matrix"
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
		text:  func(out io.Writer, s admin.State, _ any) error { return writeMatrix(out, s.Catalog, s.Snapshot) },
		color: colorMatrix,
	}.command()
}

// writeMatrix prints the matrix with a legend, in the order of the console's: rows and columns by the catalog's
// regions. Families that a vote leaves out are left out here too.
func writeMatrix(out io.Writer, c *catalog.Catalog, s *mesh.Snapshot) error {
	position := matrix.Positions(c)
	hosts, vantages := slices.Clone(s.Hosts), slices.Clone(s.Vantages)
	slices.SortStableFunc(hosts, func(a, b mesh.HostState) int {
		return position(a.Region, a.Name) - position(b.Region, b.Name)
	})
	slices.SortStableFunc(vantages, func(a, b mesh.VantageState) int {
		return position(a.Region, a.Name) - position(b.Region, b.Name)
	})
	m := matrix.ByVantage(hosts, vantages)
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, strings.Join(append([]string{"CHECK"}, m.Columns...), "\t"))
	for _, row := range m.Rows {
		fmt.Fprintf(table, "%s %s", row.Host.Name, row.Check.Name)
		for _, edges := range row.Cells {
			fmt.Fprintf(table, "\t%s", formatEdges(edges))
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintf(table, "\n+ reaches it, in milliseconds; X does not; ? abstains; as of %s\n", formatTime(s.At))
	return table.Flush()
}

// voteSymbols are what the legend below the matrix explains.
var voteSymbols = map[mesh.Vote]string{mesh.OK: "+", mesh.Bad: "X", mesh.Abstain: "?"}

// formatEdges is the latest vote of one vantage on a check, one symbol for each address family that counts.
func formatEdges(edges []mesh.EdgeState) string {
	text := ""
	for _, e := range edges {
		if e.LeftOut {
			continue
		}
		text += voteSymbols[e.Vote]
		if e.Vote == mesh.OK && e.Outcome.Good() && e.RTT > 0 { // a ping that is only filtered has no time
			text += fmt.Sprint(e.RTT.Round(time.Millisecond).Milliseconds())
		}
	}
	return text
}

// cellSymbols are what writeMatrix prints in cells.
var cellSymbols = regexp.MustCompile(`(?:\+\d*|[X?])+`)

// colorMatrix colours the cells of a printed matrix: what fails red, what abstains yellow, and what is reached green.
// The symbols say the same without.
func colorMatrix(text string) string {
	lines := strings.SplitAfter(text, "\n")
	header := []rune(lines[0])
	cells := len([]rune("CHECK")) // where the first column ends
	for cells < len(header) && header[cells] == ' ' {
		cells++
	}
	for i, line := range lines[1:] {
		letters := []rune(line)
		if strings.TrimSpace(line) == "" {
			break // the legend follows
		}
		if len(letters) <= cells {
			continue
		}
		lines[i+1] = string(letters[:cells]) + cellSymbols.ReplaceAllStringFunc(string(letters[cells:]), paint)
	}
	return strings.Join(lines, "")
}

func paint(cell string) string {
	const red, yellow, green, plain = "\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
	switch {
	case strings.Contains(cell, "X"):
		return red + cell + plain
	case strings.Contains(cell, "?"):
		return yellow + cell + plain
	}
	return green + cell + plain
}
