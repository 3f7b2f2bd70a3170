// Package bus is NATS as the mesh uses it: the agent's connection and the coordinator's, the subjects, the two streams and the
// fence that keeps a stale leader from writing. Only this package and bus/server know NATS.
package bus

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ServerName is the name on every coordinator's certificate. TLS verifies it instead of an address, so that a coordinator may
// move.
const ServerName = "coordinator.probemesh"

// The subjects of the mesh. An agent's own end with its name.
const (
	SubjectObservations = "mesh.obs."
	SubjectAsk          = "mesh.ask."
	SubjectControl      = "mesh.ctl."
	SubjectControlAll   = "mesh.ctl.all"
	SubjectMark         = "mesh.mark."
	SubjectLedger       = "mesh.led."
	SubjectEnrol        = "enrol.request"
	subjectEpoch        = "epoch"
)

// PayloadMax bounds one message in bytes: a packed catalog of a large mesh fits.
const PayloadMax = 8 << 20

// ErrName says that a name is not one that an agent may have: it becomes part of subjects.
var ErrName = errors.New("a name is 1 to 63 of a-z, 0-9 and -, and does not begin with -")

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CheckName reports whether an agent may have this name.
func CheckName(s string) error {
	if !name.MatchString(s) {
		return fmt.Errorf("%q: %w", s, ErrName)
	}
	return nil
}

// DialFunc opens a TCP connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialer fits a DialFunc to what nats.go asks for.
type dialer struct {
	ctx  context.Context
	dial DialFunc
}

const connectWait = 5 * time.Second

func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, connectWait)
	defer cancel()
	return d.dial(ctx, network, address)
}

// forever are the options of a connection that is never given up.
func forever() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(connectWait),
		nats.CustomReconnectDelay(backoff),
	}
}

const (
	backoffFirst = 200 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// backoff doubles from backoffFirst to backoffMax, with full jitter, so that a restarted server is not met by all agents at once.
func backoff(attempts int) time.Duration {
	most := min(backoffFirst<<min(attempts, 10), backoffMax)
	return time.Duration(rand.Int64N(int64(most))) + backoffFirst/2
}

// trust is TLS that believes the mesh's own CA alone.
func trust(ca []byte) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the mesh's CA is not a certificate in PEM")
	}
	return &tls.Config{RootCAs: pool, ServerName: ServerName, MinVersion: tls.VersionTLS13}, nil
}

// credentials answer the server's challenge with the key of the JWT.
func credentials(token, seed string) (nats.Option, error) {
	if _, err := jwt.DecodeUserClaims(token); err != nil {
		return nil, fmt.Errorf("the credentials' JWT: %w", err)
	}
	if _, err := nkeys.FromSeed([]byte(seed)); err != nil {
		return nil, fmt.Errorf("the credentials' key: %w", err)
	}
	return newest(func() string { return token }, seed), nil
}

// newest are credentials whose JWT is asked for at each connection.
func newest(token func() string, seed string) nats.Option {
	return nats.UserJWT(func() (string, error) { return token(), nil }, func(nonce []byte) ([]byte, error) {
		return signChallenge(seed, nonce)
	})
}

// challenge is what NATS asks a client to sign: base64 of random bytes.
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// signChallenge answers a server's challenge with the enrolment key. The key signs proofs of gossip too, whose
// messages begin with a byte that no challenge has: so a server cannot have an agent sign a proof, nor another agent
// a challenge.
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

// SigningKey is the private key of a seed, for signatures that are not NATS's.
func SigningKey(seed string) (ed25519.PrivateKey, error) {
	_, raw, err := nkeys.DecodeSeed([]byte(seed))
	if err != nil {
		return nil, fmt.Errorf("the agent's key: %w", err)
	}
	return ed25519.NewKeyFromSeed(raw), nil
}

// VerifyingKey is what SigningKey's signatures verify with: the raw form of an agent's public key.
func VerifyingKey(public string) (ed25519.PublicKey, error) {
	raw, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(public))
	if err != nil {
		return nil, fmt.Errorf("an agent's public key: %w", err)
	}
	return raw, nil
}

// NewKey makes a key pair for an agent: the public key goes into its JWT, the seed never leaves it.
func NewKey() (public, seed string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	if public, err = pair.PublicKey(); err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	secret, err := pair.Seed()
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return public, string(secret), nil
}

// PublicKey is the public key of a seed.
func PublicKey(seed string) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// IsPublicKey reports whether s is the public key of an agent.
func IsPublicKey(s string) bool { return nkeys.IsValidPublicUserKey(s) }
