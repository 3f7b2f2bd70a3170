package wire_test

import (
	"errors"
	"testing"
	"time"

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

// What an agent says of its credentials arrives, and nonsense is nothing: it is shown to operators.
func TestAGrantRequestCarriesTheEndOfTheCredentials(t *testing.T) {
	second := func(n int64) time.Time { return time.Unix(n, 0) }
	for name, test := range map[string]struct{ sent, want wire.GrantRequest }{
		"an agent's": {wire.GrantRequest{Key: "U", Rename: true, Issued: second(5), Expires: second(9)},
			wire.GrantRequest{Key: "U", Rename: true, Issued: second(5), Expires: second(9)}},
		"credentials without an end":  {wire.GrantRequest{Key: "U", Issued: second(5)}, wire.GrantRequest{Key: "U"}},
		"an end before the start":     {wire.GrantRequest{Issued: second(9), Expires: second(5)}, wire.GrantRequest{}},
		"an end that no calendar has": {wire.GrantRequest{Issued: second(9), Expires: second(1 << 60)}, wire.GrantRequest{}},
	} {
		got, ok := wire.DecodeGrantRequest(wire.EncodeGrantRequest(test.sent))
		if diff := cmp.Diff(test.want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", name, ok, diff)
		}
	}
	if _, ok := wire.DecodeGrantRequest([]byte(`{"v":1,"want":"everything"}`)); ok {
		t.Error("another question is taken for a request of a grant")
	}
}
