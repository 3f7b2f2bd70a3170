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
	"unicode/utf8"

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
		text: func(out io.Writer, s admin.State, _ any, width int) error {
			return writeMatrix(out, s.Catalog, s.Snapshot, width)
		},
		color: colorMatrix,
	}.command()
}

// matrixHead is the head of the first column, with which each part of the matrix begins.
const matrixHead = "CHECK"

// writeMatrix prints the matrix with a legend, in the order of the console's: rows and columns by the catalog's
// regions. Families that a vote leaves out are left out here too. Columns that do not fit the width follow below, each
// part with all rows.
func writeMatrix(out io.Writer, c *catalog.Catalog, s *mesh.Snapshot, width int) error {
	position := matrix.Positions(c)
	hosts, vantages := slices.Clone(s.Hosts), slices.Clone(s.Vantages)
	slices.SortStableFunc(hosts, func(a, b mesh.HostState) int {
		return position(a.Region, a.Name) - position(b.Region, b.Name)
	})
	slices.SortStableFunc(vantages, func(a, b mesh.VantageState) int {
		return position(a.Region, a.Name) - position(b.Region, b.Name)
	})
	m := matrix.ByVantage(hosts, vantages)
	lines := [][]string{append([]string{matrixHead}, m.Columns...)}
	for _, row := range m.Rows {
		line := []string{row.Host.Name + " " + row.Check.Name}
		for _, edges := range row.Cells {
			line = append(line, formatEdges(edges))
		}
		lines = append(lines, line)
	}
	for first := 1; ; {
		end := columnsThatFit(lines, first, width)
		table := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
		for _, line := range lines {
			fmt.Fprintln(table, strings.Join(slices.Concat(line[:1], line[first:end]), "\t"))
		}
		fmt.Fprintln(table)
		if err := table.Flush(); err != nil {
			return err
		}
		if first = end; first == len(lines[0]) {
			break
		}
	}
	_, err := fmt.Fprintf(out, "+ reaches it, in milliseconds; X does not; ? abstains;\nas of %s\n", formatTime(s.At))
	return err
}

// columnsThatFit returns the end of the columns from first on that fit the width beside the names of the checks: at
// least one, where there is any.
func columnsThatFit(lines [][]string, first, width int) int {
	columnWidth := func(i int) (widest int) {
		for _, line := range lines {
			widest = max(widest, utf8.RuneCountInString(line[i]))
		}
		return widest
	}
	end, used := first, columnWidth(0)
	for ; end < len(lines[0]); end++ {
		if used += 1 + columnWidth(end); used > width && end > first {
			break
		}
	}
	return end
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
		if e.Vote == mesh.OK && e.HasTime() {
			text += fmt.Sprint(e.RTT.Round(time.Millisecond).Milliseconds())
		}
	}
	return text
}

// cellSymbols are what writeMatrix prints in cells.
var cellSymbols = regexp.MustCompile(`(?:\+\d*|[X?])+`)

// colorMatrix colors the cells of a printed matrix: what fails red, what abstains yellow, and what is reached green.
// The symbols say the same without.
func colorMatrix(text string) string {
	lines := strings.SplitAfter(text, "\n")
	begins, cells := true, 0 // where the first column ends
	for i, line := range lines {
		letters := []rune(line)
		switch {
		case begins && !strings.HasPrefix(line, matrixHead):
			return strings.Join(lines, "") // the legend follows
		case begins:
			cells = len(matrixHead)
			for cells < len(letters) && letters[cells] == ' ' {
				cells++
			}
		case len(letters) > cells:
			lines[i] = string(letters[:cells]) + cellSymbols.ReplaceAllStringFunc(string(letters[cells:]), paint)
		}
		begins = strings.TrimSpace(line) == ""
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
