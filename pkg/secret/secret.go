// Package secret holds passwords, tokens and other values that no log, page, stream or error may show. A Text prints
// as "[secret]" in every encoder; Reveal is the only way to its value. Digest tells whether a value changed without
// storing it.
package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
)

// Max bounds a value in bytes.
const Max = 4096

// redacted is printed in place of a value.
const redacted = "[secret]"

// Text is a secret value; the zero Text is the empty value. Compare Texts with Equal.
type Text struct {
	// fmt does not call the methods of a value in an unexported field, and prints what it finds by reflection. Of a
	// pointer below the top it prints the address alone.
	value *string
}

// New returns the value as a Text.
func New(value string) Text { return Text{&value} }

// Reveal returns the value. Its result must reach nothing but the protocol that needs it.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Equal reports whether both have the same value, in a time that depends on the length alone.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// Format prints "[secret]" for every verb and flag.
func (t Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String returns "[secret]".
func (t Text) String() string { return redacted }

// GoString returns "[secret]".
func (t Text) GoString() string { return redacted }

// MarshalText returns "[secret]", also for XML and log fields.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[secret]" as a JSON string.
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML returns "[secret]".
func (t Text) MarshalYAML() (any, error) { return redacted, nil }

// MarshalBinary returns "[secret]", also for gob.
func (t Text) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }

// Digest returns the first half of an HMAC-SHA-256 of the value in hexadecimal digits. Without the
// key, short values could be guessed from their digests. The name is part of the input so that equal values of
// different names have different digests.
func Digest(key []byte, name string, t Text) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%d:%s", len(name), name)
	mac.Write([]byte(t.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:sha256.Size/2])
}

// DigestSize is the length of a Digest.
const DigestSize = sha256.Size
