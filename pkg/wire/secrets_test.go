package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/wire"
)

func TestSealedSecretsFollowTheCatalog(t *testing.T) {
	c, err := catalog.Decode(first(t, "catalog.json"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := wire.EncodeAnswer(wire.Answer{Catalog: c})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := wire.AppendSealed(answer, []byte("sealed bytes"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeAnswer(whole)
	if err != nil || string(got.Sealed) != "sealed bytes" || got.Catalog.Revision != c.Revision {
		t.Errorf("%q %v", got.Sealed, err)
	}
	if got, err := wire.DecodeAnswer(answer); err != nil || got.Sealed != nil {
		t.Errorf("without secrets: %q %v", got.Sealed, err)
	}
	// The version before reads one JSON value and stops.
	r, err := gzip.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if was, is := frozen[frozenCatalog](t, firstValue(t, plain), nil), frozen[frozenCatalog](t,
		first(t, "catalog.json"), nil); len(was.Hosts) != len(is.Hosts) {
		t.Errorf("%d hosts, want %d", len(was.Hosts), len(is.Hosts))
	}
	for name, part := range map[string]string{
		"garbage": "}{", "another type": `{"sealed":7}`, "half": `{"sealed":"AAA`,
		"too large": `{"sealed":"` + strings.Repeat("AAAA", wire.SecretsBytesMax/3+1000) + `"}`,
	} {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write([]byte(part))
		_ = w.Close()
		hostile := append(bytes.Clone(answer), packed.Bytes()...)
		if _, err := wire.DecodeAnswer(hostile); err == nil {
			t.Errorf("%s after the catalog is accepted", name)
		} else if r := wire.RefusedAnswer(hostile, err); r.Revision != c.Revision {
			t.Errorf("%s: the refusal names no catalog: %+v", name, r)
		}
	}
}

func firstValue(t *testing.T, plain []byte) []byte {
	t.Helper()
	var out json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(plain)).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSecretsAreBounded(t *testing.T) {
	values := map[string]secret.Text{"${A}": secret.New("a\x00é"), "file:/x": secret.New("")}
	data, err := wire.EncodeSecrets(values)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeSecrets(data)
	if err != nil || len(got) != 2 || got["${A}"].Reveal() != "a\x00é" {
		t.Errorf("%d, %v", len(got), err)
	}
	many := map[string]secret.Text{}
	for i := range wire.SecretsMax + 1 {
		many[fmt.Sprint(i)] = secret.New("x")
	}
	if _, err := wire.EncodeSecrets(many); !errors.Is(err, wire.ErrTooLarge) {
		t.Error("too many:", err)
	}
	encoded := func(v any) []byte { data, _ := json.Marshal(v); return data }
	const mark = "xyzzy"
	for name, data := range map[string][]byte{
		"garbage":    []byte(mark),
		"a list":     encoded([]string{mark}),
		"numbers":    encoded(map[string]int{mark: 1}),
		"long value": encoded(map[string]string{"a": strings.Repeat(mark, secret.Max)}),
		"long name":  encoded(map[string]string{strings.Repeat(mark, 1000): "a"}),
		"long":       bytes.Repeat([]byte(" "), wire.SecretsBytesMax+1),
		"many": encoded(func() map[string]string {
			m := map[string]string{}
			for k := range many {
				m[k] = ""
			}
			return m
		}()),
	} {
		if _, err := wire.DecodeSecrets(data); err == nil || strings.Contains(err.Error(), mark) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
