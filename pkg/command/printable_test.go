package command_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/command"
)

func TestTextForATerminalIsPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"NC1\tup\n  語 é\n":         "NC1\tup\n  語 é\n",
		"a\x1b[2Jb\x00c\rd":        "a\ufffd[2Jb\ufffdc\ufffdd",
		"moc\u202egnp.exe\u2066":   "moc\ufffdgnp.exe\ufffd",
		"cut \xe8\xaa":             "cut \ufffd\ufffd",
		"\u200b\u0085\u2028\ufeff": "\ufffd\ufffd\ufffd\ufffd",
	} {
		var out strings.Builder
		if n, err := fmt.Fprint(command.Printable(&out), text); err != nil || n != len(text) || out.String() != want {
			t.Errorf("%q is printed as %q, want %q (%d, %v)", text, out.String(), want, n, err)
		}
	}
}

func TestLinesForATerminalAreBounded(t *testing.T) {
	var out strings.Builder
	w := command.Printable(&out)
	for range 3 {
		fmt.Fprint(w, strings.Repeat("語", 25_000))
	}
	fmt.Fprint(w, "\nnext\n")
	first, rest, _ := strings.Cut(out.String(), "\n")
	if n := utf8.RuneCountInString(first); n != 4096 || !strings.HasSuffix(first, "語…") || rest != "next\n" {
		t.Errorf("%d runes, then %q", n, rest)
	}
}
