package bus

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Credentials returns the option that authenticates a connection by a JWT and its secret key. newest, which may be nil,
// returns the JWT of each later connection.
func Credentials(token, seed string, newest func() string) (nats.Option, error) {
	if _, err := jwt.DecodeUserClaims(token); err != nil {
		return nil, fmt.Errorf("the credentials' JWT: %w", err)
	}
	if _, err := nkeys.FromSeed([]byte(seed)); err != nil {
		return nil, fmt.Errorf("the credentials' key: %w", err)
	}
	if newest == nil {
		newest = func() string { return token }
	}
	sign := func(nonce []byte) ([]byte, error) { return signChallenge(seed, nonce) }
	return nats.UserJWT(func() (string, error) { return newest(), nil }, sign), nil
}

// challenge is what NATS asks a client to sign: base64 of random bytes.
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// signChallenge signs a server's challenge with the enrolment key. The key also signs gossip proofs, whose messages
// begin with a byte that no challenge has: so a server cannot make an agent sign a proof, nor another agent make it
// sign a challenge.
func signChallenge(seed string, nonce []byte) ([]byte, error) {
	if !challenge.Match(nonce) {
		return nil, errors.New("refusing to sign the server's challenge: it is not in the format of NATS")
	}
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, fmt.Errorf("the credentials' key: %w", err)
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// SigningKey returns the private key of a seed, for signatures that are not NATS's.
func SigningKey(seed string) (ed25519.PrivateKey, error) {
	_, raw, err := nkeys.DecodeSeed([]byte(seed))
	if err != nil {
		return nil, fmt.Errorf("the agent's key: %w", err)
	}
	return ed25519.NewKeyFromSeed(raw), nil
}

// VerifyingKey returns the key that verifies SigningKey's signatures: the raw form of an agent's public key.
func VerifyingKey(public string) (ed25519.PublicKey, error) {
	raw, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(public))
	if err != nil {
		return nil, fmt.Errorf("an agent's public key: %w", err)
	}
	return raw, nil
}

// NewKey creates a key pair for an agent: the public key goes into its JWT, the seed never leaves the machine.
func NewKey() (public, seed string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", fmt.Errorf("create a key: %w", err)
	}
	if public, err = pair.PublicKey(); err != nil {
		return "", "", fmt.Errorf("create a key: %w", err)
	}
	secret, err := pair.Seed()
	if err != nil {
		return "", "", fmt.Errorf("create a key: %w", err)
	}
	return public, string(secret), nil
}

// PublicKey returns the public key of a seed.
func PublicKey(seed string) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// IsPublicKey reports whether s is the public key of an agent.
func IsPublicKey(s string) bool { return nkeys.IsValidPublicUserKey(s) }

// Token is the content of an agent's JWT. Only the server checks the signature.
type Token struct {
	Name    string
	Key     string // public
	Issued  time.Time
	Expires time.Time // zero: never
}

// ReadJWT reads the JWT of an agent.
func ReadJWT(s string) (Token, error) {
	u, err := jwt.DecodeUserClaims(s)
	if err != nil {
		return Token{}, fmt.Errorf("read a JWT: %w", err)
	}
	t := Token{Name: u.Name, Key: u.Subject, Issued: time.Unix(u.IssuedAt, 0)}
	if u.Expires != 0 {
		t.Expires = time.Unix(u.Expires, 0)
	}
	return t, nil
}
