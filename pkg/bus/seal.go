package bus

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/box"
)

// HeaderSealKey is the header of an agent's question for the catalog that holds its SealKey. A coordinator that is too
// old for secrets ignores it, since the question itself stays empty.
const HeaderSealKey = "Probemesh-Seal-Key"

// SealKey is the public X25519 key to which a coordinator seals what only the asker may read. The subject of the
// question proves whose key it is: the server lets no other agent publish there.
type SealKey [32]byte

// String returns the key as ParseSealKey reads it.
func (k SealKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// ParseSealKey reads a SealKey; the text comes from a peer.
func ParseSealKey(text string) (k SealKey, err error) {
	if len(text) > base64.StdEncoding.EncodedLen(len(k)) {
		return k, errors.New("the key to seal to is too long")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != len(k) || SealKey(raw) == (SealKey{}) {
		return k, errors.New("the key to seal to is not a public X25519 key")
	}
	return SealKey(raw), nil
}

// OpenKey opens what was sealed to its SealKey. It is made for one question, so that an answer to another question, or
// an earlier answer, cannot be opened.
type OpenKey struct {
	Public  SealKey
	private *[32]byte // a pointer, so that no printed OpenKey shows it
}

// NewOpenKey makes a key for one question.
func NewOpenKey() (OpenKey, error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return OpenKey{}, fmt.Errorf("create a key for the question: %w", err)
	}
	return OpenKey{Public: SealKey(*public), private: private}, nil
}

// Open returns what Seal sealed to the key.
func (k OpenKey) Open(sealed []byte) ([]byte, error) {
	public := [32]byte(k.Public)
	plain, ok := box.OpenAnonymous(nil, sealed, &public, k.private)
	if !ok {
		return nil, errors.New("sealed to another key, or damaged")
	}
	return plain, nil
}

// Seal encrypts the text so that only the owner of the key can read it.
func Seal(plain []byte, to SealKey) ([]byte, error) {
	public := [32]byte(to)
	sealed, err := box.SealAnonymous(nil, plain, &public, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}
