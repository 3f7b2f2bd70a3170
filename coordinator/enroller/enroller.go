// Package enroller decides which agents may join the mesh: it issues single-use tokens and handles the join requests that
// present one.
package enroller

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/nacl/box"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/ratelimit"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Lifetime is how long a token may be used, by the coordinator's clock alone.
const Lifetime = time.Hour

// refusalsLogged bounds how many refused join requests are logged in a minute.
const refusalsLogged = 30

// Bus is what the desk needs of NATS: somewhere to keep what it knows of tokens, and those who knock.
type Bus interface {
	Enrolment(ctx context.Context, key string) (value []byte, revision uint64, err error)
	SetEnrolment(ctx context.Context, key string, value []byte, revision uint64) error
	AnswerJoinRequests(ctx context.Context, ready chan<- struct{}, answer func(ctx context.Context, request []byte) []byte) error
	AnswerQuestions(ctx context.Context, ready chan<- struct{}, answer func(ctx context.Context, agent string, question []byte) []byte) error
	Broadcast(ctx context.Context, data []byte) error
}

// Issuer makes credentials, and ends them.
type Issuer interface {
	Issue(name, publicKey string) (jwt string, err error)
	Revoke(ctx context.Context, publicKeys ...string) error
	CA() []byte
	Servers() []string
}

// Members are the hosts of the catalog, and the keys that their agents joined with.
type Members interface {
	KnownHost(key string) bool
	Agent(ctx context.Context, host string) (ledger.Agent, error) // ledger.ErrNoAgent: none ever joined
	EndedKeys(ctx context.Context) ([]string, error)              // revoked, or replaced when the host joined again
	Enrolled(ctx context.Context, host, publicKey string) error   // told before the agent is
	Revoked(ctx context.Context, host, publicKey string) error
}

// Config is what a desk needs.
type Config struct {
	Bus     Bus
	Issuer  Issuer
	Members Members
	Settle  time.Duration    // between two steps of a rotation of the gossip key; zero: Settle
	Now     func() time.Time // mesh time, for tokens and rotations: a step of the wall clock must not shorten them; nil: time.Now
	// Sets a subject's warning for operators; an empty text clears it. May be nil.
	Warn   func(subject, text string)
	Logger zerolog.Logger
}

// Enroller issues tokens and handles the join requests that present one.
type Enroller struct {
	Config
	rotated   chan struct{} // a rotation began
	strangers strangers
	refusals  zerolog.Logger           // rate-limited: anybody may send join requests
	denied    *ratelimit.Rates[string] // log lines on agents whose credentials are not renewed, by host; AnswerQuestions' goroutine owns it
}

// New is a desk.
func New(c Config) *Enroller {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Settle = cmp.Or(c.Settle, Settle)
	return &Enroller{
		Config: c, rotated: make(chan struct{}, 1), strangers: strangers{warn: c.Warn, heard: map[string]time.Time{}},
		refusals: c.Logger.Sample(&zerolog.BurstSampler{Burst: refusalsLogged, Period: time.Minute}),
		denied:   ratelimit.NewRates[string](rate.Every(time.Minute), 3, 10_000),
	}
}

// record is what is kept of a token, under the hash of its secret.
type record struct {
	Host    string    `json:"host"`
	Expires time.Time `json:"expires"`
	Key     string    `json:"key,omitempty"` // the first public key that came with it, which may try again
}

// ErrUnknownHost says that the catalog has no such host.
var ErrUnknownHost = errors.New("the catalog has no such host")

// Invite makes a token for the host.
func (d *Enroller) Invite(ctx context.Context, host string) (string, error) {
	key := mesh.Key(host)
	if !d.Members.KnownHost(key) {
		return "", fmt.Errorf("%s: %w; add it first", host, ErrUnknownHost)
	}
	pin, err := bus.Pin(d.Issuer.CA())
	if err != nil {
		return "", err
	}
	token := wire.Token{Host: key, Servers: d.Issuer.Servers(), Pin: pin[:], Secret: make([]byte, 16)}
	if _, err := rand.Read(token.Secret); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	data, err := json.Marshal(record{Host: key, Expires: d.Now().Add(Lifetime)})
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return token.String(), d.Bus.SetEnrolment(ctx, place(token.Secret), data, 0)
}

// place is where a token's record is kept. The secret itself is not.
func place(secret []byte) string {
	sum := sha256.Sum256(secret)
	return "token." + hex.EncodeToString(sum[:])
}

// Run answers those who knock until ctx ends. ready is closed as soon as it does. What it missed while it was down, it makes
// good: the keys that were revoked meanwhile are revoked here too.
func (d *Enroller) Run(ctx context.Context, ready chan<- struct{}) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.sweep(ctx) })
	g.Go(func() error { return d.Bus.AnswerQuestions(ctx, make(chan struct{}), d.question) })
	g.Go(func() error { return d.rotate(ctx) })
	g.Go(func() error { return d.Bus.AnswerJoinRequests(ctx, ready, d.answer) })
	return g.Wait()
}

// refusal is why one may not join, in words for the person who tries.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	forged  refusal = "the token is forged: it names this coordinator, which did not make it, or has lost its records; ask for a new one"
	lapsed  refusal = "the token has lapsed: a token lasts an hour; ask for a new one"
	ended   refusal = "the key that comes with this token was revoked, or replaced by another that joined since; ask for a new token"
	revoked refusal = "the token was made before this host was revoked; ask for a new one"
	used    refusal = "the token is used: another key joined with it; ask for a new one"
	unknown refusal = "the catalog no longer has this host"
	broken  refusal = "the request to join is not one this coordinator understands"
	trouble refusal = "the coordinator could not enrol the agent just now; try again"
)

func (d *Enroller) answer(ctx context.Context, data []byte) []byte {
	var question wire.JoinRequest
	answer := wire.JoinAnswer{V: wire.Version, Clock: time.Now().UnixMicro()}
	var err error
	if wire.DecodeJoin(data, &question) != nil || !question.Clock {
		answer.Sealed, err = d.admit(ctx, data)
	}
	if err != nil {
		d.refusals.Warn().Err(err).Msg("agent refused")
		answer.Refuse = string(trouble)
		var r refusal
		if errors.As(err, &r) {
			answer.Refuse = string(r)
		}
	}
	out, err := json.Marshal(answer)
	if err != nil {
		d.Logger.Error().Err(err).Msg("an answer to an agent that joins")
	}
	return out
}

// admit checks a request and seals what the agent is given.
func (d *Enroller) admit(ctx context.Context, data []byte) ([]byte, error) {
	var request wire.JoinRequest
	if err := wire.DecodeJoin(data, &request); err != nil || len(request.Seal) != 32 || !bus.IsPublicKey(request.PublicKey) {
		return nil, broken
	}
	r, err := d.redeem(ctx, request)
	if err != nil {
		return nil, err
	}
	gossip, _, err := d.keyring(ctx)
	if err != nil {
		return nil, err
	}
	// Again, see grant. Only now, since anybody may send a request.
	if err := d.standing(ctx, r, request.PublicKey); err != nil {
		return nil, err
	}
	grant, err := d.grant(request.Host, request.PublicKey, gossip)
	if err != nil {
		return nil, err
	}
	if err := d.enrol(ctx, request.Host, request.PublicKey); err != nil {
		return nil, err
	}
	d.Logger.Info().Str("host", request.Host).Msg("an agent joined")
	return box.SealAnonymous(nil, grant, (*[32]byte)(request.Seal), rand.Reader)
}

// redeem binds the token to the key that came with it first.
func (d *Enroller) redeem(ctx context.Context, request wire.JoinRequest) (r record, err error) {
	kept, revision, err := d.Bus.Enrolment(ctx, place(request.Secret))
	if errors.Is(err, bus.ErrNotFound) {
		return r, forged
	}
	if err == nil {
		err = json.Unmarshal(kept, &r)
	}
	switch {
	case err != nil:
		return r, err
	case r.Host != request.Host:
		return r, forged
	case r.Key != "" && r.Key != request.PublicKey:
		return r, used
	case d.Now().After(r.Expires):
		return r, lapsed
	case !d.Members.KnownHost(r.Host):
		return r, unknown
	}
	if err := d.standing(ctx, r, request.PublicKey); err != nil || r.Key == request.PublicKey {
		return r, err
	}
	r.Key = request.PublicKey
	if kept, err = json.Marshal(r); err != nil {
		return r, err
	}
	return r, d.Bus.SetEnrolment(ctx, place(request.Secret), kept, revision)
}
