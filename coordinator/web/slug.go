package web

import (
	"cmp"
	"strings"
	"unicode"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Slug returns a check's name as an address has it: "Sending mail" is sending-mail. A name without letters and digits
// stays as it is.
func Slug(name string) string {
	words := strings.FieldsFunc(mesh.Key(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return cmp.Or(strings.Join(words, "-"), name)
}
