package web

import (
	"strings"
	"unicode"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Slug returns a check's name as an address has it: "Sending mail" is sending-mail.
func Slug(name string) string {
	return strings.Join(strings.FieldsFunc(mesh.Key(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), "-")
}
