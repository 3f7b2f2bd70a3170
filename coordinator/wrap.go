package main

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// stepBegins is the beginning of a step of an explanation: when it was.
var stepBegins = regexp.MustCompile(`^ +[+-]\d+\.\d\d s  `)

// together are the spaces at which no line is broken: in a time, and between a number and its unit.
var together = regexp.MustCompile(`\d (?:\d\d:\d\d|(?:s|ms|min)\b|%)`)

// wrap breaks the lines that are longer than a width at spaces. What follows is indented: below the text of a step, and
// two columns deeper than other lines. A word that is longer than a line stays whole, as an address to copy must.
func wrap(text string, width int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		indent := len(stepBegins.FindString(line))
		if indent == 0 {
			indent = len(line) - len(strings.TrimLeft(line, " ")) + 2
		}
		line = together.ReplaceAllStringFunc(line, func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") })
		for hang := 0; ; hang = indent {
			at := breakAt(line, hang, width)
			if at < 0 {
				out.WriteString(line)
				break
			}
			out.WriteString(strings.TrimRight(line[:at], " ") + "\n")
			line = strings.Repeat(" ", indent) + strings.TrimLeft(line[at:], " ")
		}
	}
	return strings.ReplaceAll(out.String(), "\u00a0", " ")
}

// breakAt returns the last space at which the line may end so that it fits the width, or the first one if none does; -1
// if it need not or cannot end earlier. The text begins after at least so many columns.
func breakAt(line string, begins, width int) int {
	line = strings.TrimRight(line, " \n")
	if utf8.RuneCountInString(line) <= width {
		return -1
	}
	begins = max(begins, len(line)-len(strings.TrimLeft(line, " ")))
	best, column := -1, 0
	for at, r := range line {
		if r == ' ' && at > begins && (column <= width || best < 0) {
			best = at
		}
		if column++; column > width && best >= 0 {
			break
		}
	}
	return best
}
