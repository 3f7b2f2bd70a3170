package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Token is a join token: what an operator copies from the coordinator to a new agent. It is for one host and valid
// once.
type Token struct {
	Host    string   `json:"h"` // the host's key
	Servers []string `json:"s"` // URLs of NATS
	Pin     []byte   `json:"p"` // SHA-256 of the mesh's CA
	Secret  []byte   `json:"k"`
}

const (
	tokenPrefix  = "pm1-"
	checksumSize = 4 // bytes of SHA-256: enough to notice a typing error
	secretSize   = 16
)

// ErrMisspelt means that a token was not copied completely.
var ErrMisspelt = errors.New("the token is misspelt or cut short: copy it whole, it begins with " + tokenPrefix)

// String returns the token as text without spaces, which ends with a checksum.
func (t Token) String() string {
	data, _ := json.Marshal(t) // strings and bytes cannot fail
	sum := sha256.Sum256(data)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(data, sum[:checksumSize]...))
}

// ParseToken parses a token, or returns ErrMisspelt.
func ParseToken(s string) (t Token, err error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	data, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(data) <= checksumSize {
		return t, ErrMisspelt
	}
	data, checksum := data[:len(data)-checksumSize], data[len(data)-checksumSize:]
	if sum := sha256.Sum256(data); string(sum[:checksumSize]) != string(checksum) {
		return t, ErrMisspelt
	}
	if err := json.Unmarshal(data, &t); err != nil || len(t.Pin) != sha256.Size || len(t.Secret) != secretSize ||
		len(t.Servers) == 0 {
		return t, ErrMisspelt
	}
	return t, nil
}

// JoinRequest is an agent's request for enrolment. The agent's secret key is not part of it.
type JoinRequest struct {
	V         int    `json:"v"`
	Host      string `json:"host"`
	Secret    []byte `json:"secret"`
	PublicKey string `json:"key"`             // the agent's
	Seal      []byte `json:"seal"`            // X25519 key, made for this request: the answer is sealed to it
	Clock     bool   `json:"clock,omitempty"` // the agent only asks for the coordinator's time
}

// JoinAnswer is the coordinator's answer: why it refuses, or a JoinGrant sealed to the request's key.
type JoinAnswer struct {
	V      int    `json:"v"`
	Refuse string `json:"refuse,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
	Clock  int64  `json:"clock,omitempty"` // the coordinator's, microseconds since 1970; 0 from an old one
}

// JoinGrant is what an enrolled agent gets: its credential, and how to reach and to trust the mesh.
type JoinGrant struct {
	JWT     string   `json:"jwt"`
	Servers []string `json:"servers"`
	CA      string   `json:"ca"`               // PEM
	Gossip  [][]byte `json:"gossip,omitempty"` // keys; the first one encrypts, the others are accepted too
}

// GossipKeySize is the size of a gossip key in bytes: AES-256.
const GossipKeySize = 32

const (
	joinBytesMax    = 64 << 10
	grantRequestMax = 1 << 10
	gossipKeysMax   = 8 // of a keyring; there are two while the key is rotated
)

// Check returns an error if the grant cannot be used.
func (g JoinGrant) Check() error {
	if g.JWT == "" || len(g.Servers) == 0 || g.CA == "" {
		return errors.New("the coordinator's grant is incomplete")
	}
	if len(g.Gossip) > gossipKeysMax {
		return fmt.Errorf("the coordinator's grant: %d gossip keys: %w", len(g.Gossip), ErrTooLarge)
	}
	for _, key := range g.Gossip {
		if len(key) != GossipKeySize {
			return fmt.Errorf("the coordinator's grant: a gossip key has %d bytes, not %d", len(key), GossipKeySize)
		}
	}
	return nil
}

// DecodeJoin decodes a JoinRequest, JoinAnswer or JoinGrant.
func DecodeJoin(data []byte, into any) error {
	if len(data) > joinBytesMax {
		return fmt.Errorf("decode join message: %d bytes: %w", len(data), ErrTooLarge)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decode join message: %w", err)
	}
	return nil
}

// grantWanted is the only thing that an enrolled agent can request.
const grantWanted = "grant"

type grantRequest struct {
	V      int    `json:"v"`
	Want   string `json:"want"`
	Key    string `json:"key,omitempty"` // the agent's, as it claims
	Rename bool   `json:"rename,omitempty"`
	// When the credentials were issued and expire that it would connect with next, in Unix seconds.
	Issued  int64 `json:"issued,omitempty"`
	Expires int64 `json:"expires,omitempty"`
}

// GrantRequest is what an enrolled agent sends to get a new JoinGrant. Its fields are the agent's claims, unverified.
type GrantRequest struct {
	Key    string // with which the agent joined; empty: the agent is too old to send it
	Rename bool   // the grant may be for another name: that of the agent's host, if that was renamed
	// When the present credentials were issued and expire; both are zero if the agent is too old to send them, or if
	// they never expire.
	Issued, Expires time.Time
}

// EncodeGrantRequest encodes a request for a new JoinGrant.
func EncodeGrantRequest(r GrantRequest) []byte {
	q := grantRequest{V: Version, Want: grantWanted, Key: r.Key, Rename: r.Rename}
	if !r.Expires.IsZero() {
		q.Issued, q.Expires = r.Issued.Unix(), r.Expires.Unix()
	}
	data, _ := json.Marshal(q) // such values cannot fail
	return data
}

// DecodeGrantRequest decodes what EncodeGrantRequest wrote. A time that is out of range is zero.
func DecodeGrantRequest(data []byte) (r GrantRequest, ok bool) {
	var q grantRequest
	if len(data) > grantRequestMax || json.Unmarshal(data, &q) != nil || q.Want != grantWanted {
		return r, false
	}
	r = GrantRequest{Key: q.Key, Rename: q.Rename}
	if 0 < q.Issued && q.Issued < q.Expires && q.Expires <= latestSecond {
		r.Issued, r.Expires = time.Unix(q.Issued, 0), time.Unix(q.Expires, 0)
	}
	return r, true
}

// latestSecond is the last second of the year 9999: later times have no text.
const latestSecond = 253402300799
