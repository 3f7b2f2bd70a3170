// Package commandtest checks the help of a whole command tree, for the tests of both programs.
package commandtest

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

const (
	shortMax = 60  // characters: two columns of an 80-column terminal
	lineMax  = 120 // characters of a line of the long text or the example
)

// imperative matches "Print a token", and neither "Prints a token" nor "Printing"; no short help ends with a full stop.
var imperative = regexp.MustCompile(`^[A-Z][a-z]*[^s\s]( .*)?[^.]$`)

// CheckHelp fails the test for every command below root, and root itself, whose short help is not an imperative of less
// than 60 characters, or which has no long help or no example. newRoot builds the tree, since parsing an example's
// flags changes it.
func CheckHelp(t *testing.T, newRoot func() *cobra.Command) {
	t.Helper()
	root := newRoot()
	commands := []*cobra.Command{root}
	for len(commands) > 0 {
		cmd := commands[0]
		commands = append(commands[1:], cmd.Commands()...)
		t.Run(cmd.CommandPath(), func(t *testing.T) { checkCommand(t, newRoot, cmd) })
	}
}

func checkCommand(t *testing.T, newRoot func() *cobra.Command, cmd *cobra.Command) {
	if n := utf8.RuneCountInString(cmd.Short); n >= shortMax || !imperative.MatchString(cmd.Short) {
		t.Errorf("short help %q (%d characters): write an imperative of less than %d, without a full stop",
			cmd.Short, n, shortMax)
	}
	if cmd.Long == "" {
		t.Error("no long help: write what it does and when to use it")
	}
	if cmd.Example == "" {
		t.Error("no example")
	}
	for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > lineMax {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	used := false
	for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", "")) { // a shell joins such lines
		used = checkExample(t, newRoot(), cmd, strings.TrimRight(line, "\n")) || used
	}
	if cmd.Example != "" && !used {
		t.Error("no example calls the command itself")
	}
}

// checkExample parses the part of a shell line that calls this program, and reports whether there is one and it calls
// the command or one below it.
func checkExample(t *testing.T, root, cmd *cobra.Command, line string) bool {
	if !strings.HasPrefix(line, "  ") {
		t.Errorf("indent the example by two spaces, as cobra does its own lines: %q", line)
	}
	for _, part := range strings.Split(line, " | ") {
		part, _, _ = strings.Cut(part, " >")
		args := words(part)
		if len(args) == 0 || args[0] != root.Name() {
			continue
		}
		found, rest, err := root.Find(args[1:])
		if err != nil {
			t.Errorf("%s: %v", line, err)
			return false
		}
		found.SetErr(io.Discard)
		if err := found.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if found.Args != nil {
			if err := found.Args(found, found.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		return strings.HasPrefix(found.CommandPath()+" ", cmd.CommandPath()+" ")
	}
	return false
}

// word is a word of a shell line, with quotes around it or a part of it.
var word = regexp.MustCompile(`('[^']*'|"[^"]*"|[^\s'"])+`)

func words(line string) []string {
	out := word.FindAllString(line, -1)
	for i := range out {
		out[i] = strings.NewReplacer("'", "", `"`, "").Replace(out[i])
	}
	return out
}
