package wire_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/wire"
)

func TestATokenIsParsedOrMisspelt(t *testing.T) {
	token := wire.Token{
		Host:    "nc036",
		Servers: []string{"tls://192.0.2.1:4222"},
		Pin:     make([]byte, 32),
		Secret:  make([]byte, 16),
	}
	got, err := wire.ParseToken(" " + token.String() + "\n")
	if err != nil || !cmp.Equal(got, token) {
		t.Fatal(got, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := []byte(token.String())
		i := rapid.IntRange(0, len(s)-2).Draw(t, "place")
		s[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		if _, err := wire.ParseToken(string(s)); !errors.Is(err, wire.ErrMisspelt) {
			t.Fatalf("a misspelt token was read: %v", err)
		}
		if _, err := wire.ParseToken(string(s[:i])); !errors.Is(err, wire.ErrMisspelt) {
			t.Fatalf("half a token was read: %v", err)
		}
	})
}
