// Package enroller decides which agents belong to the mesh. It issues single-use join tokens, answers the join requests
// that present one, renews the credentials of agents that belong, revokes those that no longer do, and rotates the
// gossip key.
package enroller

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Bus is what an Enroller needs of NATS: a bucket for tokens and keys, and the requests of agents.
type Bus interface {
	Enrolment(ctx context.Context, key string) (value []byte, revision uint64, err error)
	SetEnrolment(ctx context.Context, key string, value []byte, revision uint64) error
	AnswerJoinRequests(ctx context.Context, ready chan<- struct{},
		answer func(ctx context.Context, request []byte) []byte) error
	AnswerQuestions(ctx context.Context, ready chan<- struct{},
		answer func(ctx context.Context, agent string, question []byte) []byte) error
	Broadcast(ctx context.Context, data []byte) error
}

// Issuer signs credentials and revokes them on every NATS server.
type Issuer interface {
	Issue(name, publicKey string) (jwt string, err error)
	Revoke(ctx context.Context, publicKeys ...string) error
	// RevokeUntil revokes the key's credentials that were issued up to the second since 1970 of the wall clock.
	RevokeUntil(ctx context.Context, publicKey string, second int64) error
	CA() []byte
	Servers() []string
}

// Members are the hosts of the catalog and, in the ledger, the keys that their agents joined with.
type Members interface {
	KnownHost(key string) bool
	// HostName returns how the catalog spells the name with the key; the key if it has no such host.
	HostName(key string) string
	// HostID returns the id of the host that has the name, or had it last; Key, the key of the host with the id. Both
	// return an empty text if the catalog has no such host.
	HostID(name string) string
	Key(id string) string
	// Agent returns the agent that NATS knows by the name, or is to know by it; AgentOf, that of the host which has the
	// name, or had it last. ledger.ErrNoAgent: none ever joined.
	Agent(ctx context.Context, name string) (ledger.Agent, error)
	AgentOf(ctx context.Context, host string) (ledger.Agent, error)
	Agents(ctx context.Context) ([]ledger.Agent, error)         // that belong
	EndedKeys(ctx context.Context) ([]string, error)            // revoked, or replaced when the host joined again
	Enrolled(ctx context.Context, host, publicKey string) error // called before the agent gets its credentials
	Revoked(ctx context.Context, host, publicKey string) error
	// NextName records that the agent may have another name, with credentials issued after the second since; Renamed,
	// that it has it.
	NextName(ctx context.Context, a ledger.Agent, next string, since int64) error
	Renamed(ctx context.Context, a ledger.Agent) error
}

// Config configures an Enroller.
type Config struct {
	Bus     Bus
	Issuer  Issuer
	Members Members
	Settle  time.Duration // between two steps of a rotation of the gossip key; zero: Settle
	// The clock of tokens and rotations; nil: time.Now. It is mesh time, so that a step of the wall clock does not
	// shorten them.
	Now func() time.Time
	// Sets a subject's warning for operators; an empty text clears it. May be nil.
	Warn   func(subject, text string)
	Logger zerolog.Logger
}

// Enroller issues tokens and credentials. Its methods are safe for concurrent use.
type Enroller struct {
	Config
	rotated  chan struct{} // receives a value when a rotation begins
	unknown  unknownAgents
	reported reportedCredentials
	refusals zerolog.Logger // for refused join requests, which anybody may send
	// log lines per host about credentials that were not renewed; AnswerQuestions' goroutine owns it
	denied *ratelimit.Rates[string]
}

// Bounds of the log, so that others cannot fill it.
const (
	refusalsPerMinute = 30     // of all join requests
	deniedPerMinute   = 1      // of one host's renewals
	deniedBurst       = 3      // at once
	deniedHostsMax    = 10_000 // hosts remembered for that
)

// New returns an Enroller. It answers agents while Run runs.
func New(c Config) *Enroller {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Settle = cmp.Or(c.Settle, Settle)
	return &Enroller{
		Config: c, rotated: make(chan struct{}, 1), unknown: unknownAgents{
			warn: c.Warn, hostName: c.Members.HostName, lastSeen: map[string]time.Time{},
		},
		refusals: c.Logger.Sample(&zerolog.BurstSampler{Burst: refusalsPerMinute, Period: time.Minute}),
		denied:   ratelimit.NewRates[string](rate.Every(time.Minute/deniedPerMinute), deniedBurst, deniedHostsMax),
	}
}

// ErrUnknownHost reports that the catalog has no such host.
var ErrUnknownHost = errkind.New(errkind.NotFound, "the catalog has no such host")

// Run answers agents until ctx ends. ready is closed as soon as they can join. Run also completes what an earlier
// process did not: keys that the ledger has as revoked are revoked on the NATS servers, and a rotation that is in
// progress continues.
func (e *Enroller) Run(ctx context.Context, ready chan<- struct{}) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.revokeEndedKeys(ctx) })
	g.Go(func() error { return e.rotate(ctx) })
	g.Go(func() error { return renamer{e}.askRenamed(ctx) })
	g.Go(func() error { return e.Bus.AnswerQuestions(ctx, make(chan struct{}), e.answerQuestion) })
	g.Go(func() error { return e.Bus.AnswerJoinRequests(ctx, ready, e.answerJoinRequest) })
	return g.Wait()
}

// isNoAgent reports whether an error of Members.Agent means that no agent of the host ever joined.
func isNoAgent(err error) bool { return errors.Is(err, ledger.ErrNoAgent) }
