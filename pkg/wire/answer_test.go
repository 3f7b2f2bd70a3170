package wire_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/wire"
)

func TestTheAdmittedKeysAreSentWithTheCatalog(t *testing.T) {
	c, err := catalog.Decode(first(t, "catalog.json"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]ed25519.PublicKey{"nc036": bytes.Repeat([]byte{7}, ed25519.PublicKeySize)}
	data, err := wire.EncodeAnswer(wire.Answer{Catalog: c, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeAnswer(data)
	if err != nil || !cmp.Equal(got.Catalog, c) || !cmp.Equal(got.Keys, keys) {
		t.Errorf("%+v %v", got, err)
	}
	// An agent of version N-1 reads the catalog, under the same revision, and ignores the keys.
	if old, err := wire.DecodeCatalog(data); err != nil || !cmp.Equal(old, c) {
		t.Errorf("%v %v", old, err)
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	was, is := frozen[frozenCatalog](t, first(t, "catalog.json"), nil), frozen[frozenCatalog](t, plain, err)
	if diff := cmp.Diff(was, is); diff != "" {
		t.Error(diff)
	}
}

// A coordinator of version N-1 sends no keys, which is not the same as that nobody is admitted.
func TestNoAdmittedKeysDifferFromUnknownOnes(t *testing.T) {
	old, err := wire.DecodeAnswer(first(t, "catalog.gz"))
	if err != nil || old.Catalog == nil || old.Keys != nil {
		t.Errorf("%+v %v", old, err)
	}
	data, err := wire.EncodeAnswer(wire.Answer{Catalog: old.Catalog})
	if err != nil {
		t.Fatal(err)
	}
	if none, err := wire.DecodeAnswer(data); err != nil || none.Keys == nil || len(none.Keys) != 0 {
		t.Errorf("%+v %v", none, err)
	}
}

func TestHostileAdmittedKeys(t *testing.T) {
	plain := string(first(t, "catalog.json"))
	answer := func(keys string) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = io.WriteString(w, strings.Replace(plain, "{", `{"admitted_keys":`+keys+`,`, 1))
		w.Close()
		return out.Bytes()
	}
	if a, err := wire.DecodeAnswer(answer(`{"nc036":"AAAA"}`)); err != nil || len(a.Keys) != 0 || a.Keys == nil {
		t.Errorf("a short key: %+v %v", a.Keys, err)
	}
	if _, err := wire.DecodeAnswer(answer(`7`)); err == nil {
		t.Error("a number was read as keys")
	}
	var many strings.Builder
	for i := range wire.RosterMax + 1 {
		fmt.Fprintf(&many, `,"h%d":""`, i)
	}
	if _, err := wire.DecodeAnswer(answer("{" + many.String()[1:] + "}")); !errors.Is(err, wire.ErrTooLarge) {
		t.Error(err)
	}
}
