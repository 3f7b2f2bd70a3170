package command

import (
	"io"
	"unicode"
	"unicode/utf8"
)

// lineMax bounds a line of text for a terminal, in runes: a matrix of a hundred agents fits, a page that a server sent
// as its reason does not.
const lineMax = 4096

// Printable returns a writer of text for a terminal. Agents, servers and libraries wrote parts of that text: control
// characters, bidirectional ones and invalid UTF-8 are replaced by "�", and long lines end in "…". Tabs and newlines
// stay. Each Write must have whole characters, as those of package fmt do.
func Printable(out io.Writer) io.Writer { return &printable{out: out} }

type printable struct {
	out    io.Writer
	column int // runes of the line that were written
}

// Write writes the text that may be printed, and reports all of p as written.
func (w *printable) Write(p []byte) (int, error) {
	clean := make([]byte, 0, len(p))
	for _, r := range string(p) {
		if r == '\n' {
			clean, w.column = append(clean, '\n'), 0
			continue
		}
		w.column++
		switch {
		case w.column == lineMax:
			r = '…'
		case w.column > lineMax:
			continue
		case r != '\t' && !unicode.IsPrint(r):
			r = utf8.RuneError
		}
		clean = utf8.AppendRune(clean, r)
	}
	if _, err := w.out.Write(clean); err != nil {
		return 0, err
	}
	return len(p), nil
}
