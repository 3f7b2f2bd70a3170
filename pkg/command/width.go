package command

import (
	"io"
	"math"
	"os"

	"golang.org/x/term"
)

const (
	// Unlimited is the width of what is no terminal: programs read whole lines from pipes and files.
	Unlimited = math.MaxInt
	// defaultWidth is for terminals that do not say theirs.
	defaultWidth = 80
	// leastWidth is what text is laid out for where the terminal is narrower.
	leastWidth = 40
)

// Width returns how many columns of text fit out: those of the terminal, 80 if it does not say, and Unlimited if it is
// none.
func Width(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok || !isTerminal(f) {
		return Unlimited
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return defaultWidth
	}
	return max(columns, leastWidth)
}
