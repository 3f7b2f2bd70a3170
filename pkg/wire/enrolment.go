package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Token is what an operator carries from the coordinator to a new agent: single-use, for one host.
type Token struct {
	Host    string   `json:"h"` // the host's key
	Servers []string `json:"s"` // URLs of the bus
	Pin     []byte   `json:"p"` // SHA-256 of the mesh's CA
	Secret  []byte   `json:"k"`
}

const (
	tokenMark  = "pm1-"
	tokenCheck = 4 // bytes of checksum
	secretSize = 16
)

// ErrMisspelt says that a token was not copied whole.
var ErrMisspelt = errors.New("the token is misspelt or cut short: copy it whole, it begins with " + tokenMark)

// String is the token as one word.
func (t Token) String() string {
	data, _ := json.Marshal(t) // strings and bytes cannot fail
	sum := sha256.Sum256(data)
	return tokenMark + base64.RawURLEncoding.EncodeToString(append(data, sum[:tokenCheck]...))
}

// ParseToken reads a token, or says that it is misspelt.
func ParseToken(s string) (t Token, err error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), tokenMark)
	data, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(data) <= tokenCheck {
		return t, ErrMisspelt
	}
	data, check := data[:len(data)-tokenCheck], data[len(data)-tokenCheck:]
	if sum := sha256.Sum256(data); string(sum[:tokenCheck]) != string(check) {
		return t, ErrMisspelt
	}
	if err := json.Unmarshal(data, &t); err != nil || len(t.Pin) != sha256.Size || len(t.Secret) != secretSize || len(t.Servers) == 0 {
		return t, ErrMisspelt
	}
	return t, nil
}

// JoinRequest is what an agent says when it knocks. Its secret key never leaves it.
type JoinRequest struct {
	V         int    `json:"v"`
	Host      string `json:"host"`
	Secret    []byte `json:"secret"`
	PublicKey string `json:"key"`             // the agent's
	Seal      []byte `json:"seal"`            // X25519 key, made for this request, that the answer is sealed to
	Clock     bool   `json:"clock,omitempty"` // it only asks what time it is there, and does not knock
}

// JoinAnswer is the coordinator's answer: a refusal in words, or a JoinGrant sealed to the request's key.
type JoinAnswer struct {
	V      int    `json:"v"`
	Refuse string `json:"refuse,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
	Clock  int64  `json:"clock,omitempty"` // the coordinator's, microseconds since 1970; zero from one that is too old to tell
}

// JoinGrant is what an agent is given.
type JoinGrant struct {
	JWT     string   `json:"jwt"`
	Servers []string `json:"servers"`
	CA      string   `json:"ca"`               // PEM
	Gossip  [][]byte `json:"gossip,omitempty"` // keys, the one to speak with first
}

// GossipKeySize is the size of a gossip key in bytes: AES-256.
const GossipKeySize = 32

const (
	joinBytesMax  = 64 << 10
	questionMax   = 1 << 10
	gossipKeysMax = 8 // of a keyring; a rotation holds two
)

// Check says what is wrong with a grant that cannot be used.
func (g JoinGrant) Check() error {
	if g.JWT == "" || len(g.Servers) == 0 || g.CA == "" {
		return errors.New("the coordinator's grant is not whole")
	}
	if len(g.Gossip) > gossipKeysMax {
		return fmt.Errorf("the coordinator's grant: %d gossip keys: %w", len(g.Gossip), ErrTooLarge)
	}
	for _, key := range g.Gossip {
		if len(key) != GossipKeySize {
			return fmt.Errorf("the coordinator's grant: a gossip key of %d bytes, wanted %d", len(key), GossipKeySize)
		}
	}
	return nil
}

// DecodeJoin reads a JoinRequest, JoinAnswer or JoinGrant.
func DecodeJoin(data []byte, into any) error {
	if len(data) > joinBytesMax {
		return fmt.Errorf("decode a word of joining: %d bytes: %w", len(data), ErrTooLarge)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decode a word of joining: %w", err)
	}
	return nil
}

// grantWanted is the one word that a question knows.
const grantWanted = "grant"

type question struct {
	V    int    `json:"v"`
	Want string `json:"want"`
	Key  string `json:"key,omitempty"` // the agent's, by its own word
}

// GrantQuestion asks for a JoinGrant anew, for the public key that the agent joined with.
func GrantQuestion(publicKey string) []byte {
	data, _ := json.Marshal(question{Version, grantWanted, publicKey}) // a number and words cannot fail
	return data
}

// WantsGrant reports whether a question is GrantQuestion, and of which key. Agents that are too old do not tell it.
func WantsGrant(data []byte) (publicKey string, ok bool) {
	var q question
	ok = len(data) <= questionMax && json.Unmarshal(data, &q) == nil && q.Want == grantWanted
	return q.Key, ok
}
