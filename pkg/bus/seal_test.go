package bus_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/bus"
)

func TestOnlyTheQuestionsKeyOpens(t *testing.T) {
	key, err := bus.NewOpenKey()
	other, err2 := bus.NewOpenKey()
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	parsed, err := bus.ParseSealKey(key.Public.String())
	if err != nil || parsed != key.Public {
		t.Fatal(parsed, err)
	}
	sealed, err := bus.Seal([]byte("the secret"), parsed)
	if err != nil || strings.Contains(string(sealed), "secret") {
		t.Fatal(err)
	}
	if plain, err := key.Open(sealed); err != nil || string(plain) != "the secret" {
		t.Error(string(plain), err)
	}
	if _, err := other.Open(sealed); err == nil {
		t.Error("the key of another question opens it")
	}
	for i := range sealed {
		damaged := append([]byte(nil), sealed...)
		damaged[i] ^= 1
		if _, err := key.Open(damaged); err == nil {
			t.Errorf("accepted with byte %d damaged", i)
		}
	}
	for _, short := range [][]byte{nil, {}, sealed[:31], sealed[:len(sealed)-1]} {
		if _, err := key.Open(short); err == nil {
			t.Errorf("%d bytes are accepted", len(short))
		}
	}
	for _, text := range []string{"", "x", strings.Repeat("A", 43) + "=", strings.Repeat("/", 1<<20), "AAAA"} {
		if _, err := bus.ParseSealKey(text); err == nil {
			t.Errorf("%.20q is accepted as a key", text)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", key, key, key); len(shown) > 1000 {
		t.Errorf("a printed key shows its private half: %s", shown)
	}
}
