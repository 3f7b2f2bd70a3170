package console

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// FuzzMatrixCellsAreWholeCharacters: an agent reports any text as its reason, and a cell's title shows the beginning.
func FuzzMatrixCellsAreWholeCharacters(f *testing.F) {
	for _, reason := range []string{
		"timeout", strings.Repeat("e\u0301", 40), strings.Repeat("漢字", 40), strings.Repeat("👩‍👩‍👧‍👦", 9), "\x00\x01",
		strings.Repeat("a", 75) + "漢\xe6\xbc",
	} {
		f.Add(reason)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		title := edgeTitle(mesh.EdgeState{Vote: mesh.Bad, Outcome: mesh.Unreachable, Reason: reason, At: time.Now()})
		if utf8.ValidString(reason) && !utf8.ValidString(title) {
			t.Fatalf("%q is cut inside a character", title)
		}
		if strings.Contains(title, "\x00") {
			t.Fatalf("a NUL in %q", title)
		}
		if n := utf8.RuneCountInString(title); n > reasonMax+60 {
			t.Fatalf("%d characters", n)
		}
	})
}
