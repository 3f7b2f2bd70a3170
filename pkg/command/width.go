package command

import (
	"io"
	"os"

	"golang.org/x/term"
)

const (
	// defaultWidth is for files and pipes, and for terminals that do not tell theirs.
	defaultWidth = 80
	// leastWidth is what text is laid out for where the terminal is narrower.
	leastWidth = 40
)

// Width returns how many columns of text fit out: those of the terminal, or 80.
func Width(out io.Writer) int {
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return max(columns, leastWidth)
		}
	}
	return defaultWidth
}
