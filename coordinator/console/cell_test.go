package console

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// FuzzMatrixCellsAreWholeCharacters: an agent reports any text as its reason, and a cell shows the beginning of it.
func FuzzMatrixCellsAreWholeCharacters(f *testing.F) {
	for _, reason := range []string{
		"timeout", strings.Repeat("e\u0301", 40), strings.Repeat("漢字", 40), strings.Repeat("👩‍👩‍👧‍👦", 9), "\x00\x01",
		strings.Repeat("a", 25) + "漢\xe6\xbc",
	} {
		f.Add(reason)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		cell := newMatrixCell([]mesh.EdgeState{{Vote: mesh.Bad, Reason: reason}})
		if utf8.ValidString(reason) && (!utf8.ValidString(cell.Text) || !utf8.ValidString(cell.Title)) {
			t.Fatalf("%q and %q are cut inside a character", cell.Text, cell.Title)
		}
		if !strings.Contains(reason, "\x00") && strings.Contains(cell.Text+cell.Title, "\x00") {
			t.Fatalf("a NUL that the agent did not report: %q", cell.Text)
		}
		if n := utf8.RuneCountInString(cell.Text); n > cellMax {
			t.Fatalf("%d characters", n)
		}
	})
}
