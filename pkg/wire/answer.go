package wire

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Answer is a coordinator's answer to an agent that asks for the catalog.
type Answer struct {
	Catalog *catalog.Catalog
	// Keys are the public keys of the admitted agents by host's key. They are nil if the coordinator is too old to send
	// them, which is not the same as that there are none. An agent of version N-1 ignores them.
	Keys map[string]ed25519.PublicKey
	// Sealed are secrets, sealed to the key of the question; nil if the coordinator sent none. EncodeAnswer ignores it:
	// see AppendSealed.
	Sealed []byte
}

// answer is the catalog's JSON with one more key: an older agent reads it as a catalog.
type answer struct {
	*catalog.Catalog
	Keys map[string][]byte `json:"admitted_keys"`
}

// EncodeAnswer encodes what agents get of the catalog, and the admitted agents' public keys, as compressed JSON.
func EncodeAnswer(a Answer) ([]byte, error) {
	out := answer{a.Catalog.ForAgents(), map[string][]byte{}}
	for host, key := range a.Keys {
		out.Keys[host] = key
	}
	plain, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode catalog: %w", err)
	}
	return pack(plain)
}

// RefusedAnswer returns the refusal of an answer that DecodeAnswer does not decode, with the catalog's revision where
// that much can be read.
func RefusedAnswer(data []byte, err error) mesh.Refusal {
	refusal := mesh.Refusal{Reason: clip(strings.TrimPrefix(err.Error(), "decode catalog: "))}
	plain, err := unpack(data)
	if err != nil {
		return refusal
	}
	var c struct {
		Revision string `json:"revision"`
	}
	// A decoder and not Unmarshal: sealed secrets may follow the catalog.
	if json.NewDecoder(bytes.NewReader(plain)).Decode(&c) == nil && len(c.Revision) <= NameMax {
		refusal.Revision = printable(c.Revision)
	}
	return refusal
}

// DecodeAnswer decodes what EncodeAnswer or EncodeCatalog wrote. It drops keys that are not Ed25519 public keys.
func DecodeAnswer(data []byte) (a Answer, err error) {
	plain, err := unpack(data)
	if err != nil {
		return a, err
	}
	if a.Catalog, err = catalog.Decode(plain); err != nil {
		return a, err
	}
	var in struct {
		Keys map[string][]byte `json:"admitted_keys"`
	}
	values := json.NewDecoder(bytes.NewReader(plain))
	if err := values.Decode(&in); err != nil {
		return a, fmt.Errorf("decode the admitted keys: %w", err)
	}
	if a.Sealed, err = decodeSealed(values); err != nil {
		return a, err
	}
	if len(in.Keys) > RosterMax {
		return a, fmt.Errorf("decode the admitted keys: %d keys: %w", len(in.Keys), ErrTooLarge)
	}
	if in.Keys == nil {
		return a, nil
	}
	a.Keys = map[string]ed25519.PublicKey{}
	// An invalid key is no reason to reject the catalog: only its host's gossip fails to verify.
	for host, key := range in.Keys {
		if len(key) == ed25519.PublicKeySize && len(host) <= NameMax {
			a.Keys[host] = key
		}
	}
	return a, nil
}

// pack compresses with gzip.
func pack(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("pack catalog: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack catalog: %w", err)
	}
	return out.Bytes(), nil
}

// unpack decompresses, and stops at CatalogBytesMax: a few kilobytes may expand to gigabytes.
func unpack(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("unpack catalog: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, CatalogBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("unpack catalog: %w", err)
	}
	if len(plain) > CatalogBytesMax {
		return nil, fmt.Errorf("unpack catalog: %w", ErrTooLarge)
	}
	return plain, nil
}
